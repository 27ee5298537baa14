"""What the methods paragraph says of staging: models, folds, tests, and what they cite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["staging_text"]

#: names of estimators to what they cite
_CITED: Mapping[str, tuple[str, ...]] = {
    "boosting": ("friedman2001",),
    "braingnn": ("li2021",),
    "brainnetcnn": ("kawahara2017",),
    "covariates": ("pedregosa2011",),
    "forest": ("breiman2001",),
    "gatv2": ("brody2022",),
    "gcn": ("kipf2017",),
    "gin": ("xu2019",),
    "linear": ("pedregosa2011",),
    "mlp": ("pedregosa2011",),
    "svm": ("cortes1995",),
    "tangent": ("varoquaux2010",),
    "transformer": ("kan2022",),
}


def staging_text(part: Mapping[str, Any], cite: Callable[..., str]) -> str:
    """Describe the estimators and how they were scored.

    Parameters
    ----------
    part : mapping
        The part ``staging`` of the record of `brainnet.report.methods.methods_text`.
    cite : callable
        Given keys, returns their numbers in brackets.

    Examples
    --------
    >>> staging_text({"n_splits": 3}, lambda *keys: "")[:47]
    'Each was scored by 3-fold cross-validation stra'
    """
    sentences = [
        _models(part, cite), _folds(part), *_extras(part, cite),
        f"Intervals are 95 % percentile bootstraps{_resamples(part)} over participants"
        f"{cite('efron1986')}, with the fitted models held fixed.",
        *_tests(part, cite),
    ]  # fmt: skip
    return " ".join(each for each in sentences if each)


def _models(part: Mapping[str, Any], cite: Callable[..., str]) -> str:
    names = [
        f"{name} ({title}){cite(*_CITED.get(str(name).lower(), ()))}"
        for name, title in dict(part.get("estimators", {})).items()
    ]
    who = f" of {part['n_subjects']} participants" if part.get("n_subjects") else ""
    return f"Stages{who} were told apart by these models: {'; '.join(names)}." if names else ""


def _folds(part: Mapping[str, Any]) -> str:
    """Say on whom models were tested, and that they learned from others only."""
    seed = f" (seed {part['seed']})" if part.get("seed") is not None else ""
    if part.get("folds") == "site":
        how = f"Each was scored on the participants of one site after another{seed}, by models "
        how += "of all other sites"
    else:
        repeats = int(part.get("n_repeats") or 1)
        again = f", repeated {repeats} times" if repeats > 1 else ""
        how = f"Each was scored by {part.get('n_splits', 'k')}-fold cross-validation stratified by "
        how += f"stage and split by participant{again}{seed}"
    return (
        f"{how}; everything that is learned from participants was learned from the training "
        "participants of each fold only."
    )


def _extras(part: Mapping[str, Any], cite: Callable[..., str]) -> list[str]:
    """Say what else was learned in the folds."""
    found = []
    if part.get("harmonise") == "combat":
        found.append(
            "What sites add to networks, regional values and measures was removed by "
            f"ComBat{cite('johnson2007', 'fortin2018')} in each fold; age and sex, where known, "
            "kept their effect."
        )
    if part.get("search") == "inner":
        found.append("Settings were chosen by cross-validation within the training participants.")
    return found


def _tests(part: Mapping[str, Any], cite: Callable[..., str]) -> list[str]:
    """Say how differences were tested and what prediction sets are."""
    found = []
    if part.get("baseline"):
        found.append(
            f"Differences from the best baseline ({part['baseline']}) were tested over folds by "
            f"the corrected resampled t-test{cite('nadeau2003')}, with Holm's correction for the "
            "number of models."
        )
    if part.get("permutations"):
        found.append(
            f"The chance of such a score without any relation was estimated with stages dealt anew "
            f"{part['permutations']} times{cite('ojala2010')}."
        )
    if part.get("level"):
        found.append(
            f"Prediction sets are cross-conformal{cite('vovk2015', 'romano2020')} at a level of "
            f"{part['level']:.0%}."
        )
    return found


def _resamples(part: Mapping[str, Any]) -> str:
    return f" of {part['n_resamples']} resamples" if part.get("n_resamples") else ""
