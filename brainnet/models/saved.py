"""A fitted staging model on disk with all that is needed to use it on other people's networks.

Beside what :meth:`~brainnet.models.graph.estimator.GraphClassifier.save` writes, the card says
whom the model was trained on, of what regions and edges, how their networks were made, how well
it did on people it had not seen, and what it is not for.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from brainnet.cohort import words
from brainnet.cohort.subjects import Subjects
from brainnet.io import DataError
from brainnet.models.core.checkpoint import (
    CARD,
    load_arrays,
    load_card,
    load_checkpoint,
    save_checkpoint,
)

__all__ = [
    "INTENDED_USE", "LIMITS", "Stager", "cohort_card", "fingerprints", "load_card_of",
    "load_stager", "region_hash", "save_stager", "stager_card",
]  # fmt: skip

TASK = "staging"
INTENDED_USE = "Research on brain networks in Alzheimer's disease."
LIMITS = (
    "Not a medical device and no diagnosis: it must not decide anything about a person.",
    "It knows the kind of people, scanners and preprocessing that it was trained on; elsewhere "
    "its probabilities may be wrong without saying so.",
    "Its scores are of people from the same source as the training participants.",
)
_SIMULATED = "It was trained on simulated networks and knows nothing of real people."
#: what the card of a model that can be applied must say
_REQUIRED: Mapping[str, type] = {
    "atlas": dict, "cohort": dict, "kinds": list, "modalities": list, "preprocessing": dict,
    "regions": list, "stages": list,
}  # fmt: skip
_SAVE_ANEW = "Take a model that the group level saved (brainnet BIDS OUT group)"
_MARK = 12  # hexadecimal digits: among a million networks two share one with a chance of 0.2 %


@dataclass(frozen=True)
class Stager:
    """A model that stages people, and its card.

    Attributes
    ----------
    estimator : classifier
        Takes :class:`~brainnet.cohort.subjects.Subjects` with the card's modalities and regions.
    card : dict
        As :func:`stager_card` makes it.
    """

    estimator: Any
    card: dict[str, Any]

    def needs(self) -> tuple[str, ...]:
        """Return the covariates that subjects must have: site and what is kept, or none."""
        own = self.card.get("harmonised")
        return () if own is None else (str(own["site"]), *map(str, own["keep"]))

    def refusals(self, subjects: Subjects) -> list[str]:
        """Say of each subject why it cannot be staged; nothing where it can.

        Parameters
        ----------
        subjects : Subjects
            With the card's modalities and regions, and the covariates that are needed. The others
            can be staged together once those are taken out.
        """
        check = getattr(getattr(self.estimator, "harmoniser_", None), "refusals", None)
        return [""] * len(subjects) if check is None else list(check(subjects))

    def remarks(self, subjects: Subjects) -> list[str]:
        """Say of each subject, if its site was not among those of training, what was done."""
        harmoniser = getattr(self.estimator, "harmoniser_", None)
        if harmoniser is None:
            return [""] * len(subjects)
        done = {
            "as_is": "what its site adds is left in",
            "estimate": "what its site adds is estimated from those given together",
            "fail": "it cannot be staged",
        }[harmoniser.unseen]
        sites = words(subjects.covariates[harmoniser.site]).tolist()
        return [
            f"site {site}, unseen in training ({', '.join(lost)}): {done}" if lost else ""
            for site, lost in zip(sites, harmoniser.unseen_in(subjects), strict=True)
        ]


def region_hash(names: Sequence[str]) -> str:
    """Return the SHA-256 of the regions' names, in order, a line each.

    Examples
    --------
    >>> region_hash(["left", "right"]) == region_hash(["right", "left"])
    False
    """
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def fingerprints(edges: ArrayLike) -> NDArray[np.str_]:
    """Return what tells one network from another, without giving it away.

    Parameters
    ----------
    edges : (n_subjects, n_modalities, n_regions, n_regions) array
        NaN where not measured.

    Returns
    -------
    (n_subjects, n_modalities) array of str
        The start of each network's SHA-256; empty where nothing was measured.

    Examples
    --------
    >>> marks = fingerprints([[[[0, 1.0], [1, 0]], [[np.nan] * 2] * 2]])
    >>> len(marks[0, 0]), marks[0, 1].item()
    (12, '')
    """
    networks = np.asarray(edges, dtype=np.float64)
    measured = np.isfinite(networks).any(axis=(2, 3))
    marks = np.full(measured.shape, "", dtype=f"U{_MARK}")
    for place in zip(*np.nonzero(measured), strict=True):
        content = np.nan_to_num(networks[place], nan=-9.0).tobytes()
        marks[place] = hashlib.sha256(content).hexdigest()[:_MARK]
    return marks


def cohort_card(dataset: xr.Dataset, stages: ArrayLike) -> dict[str, Any]:
    """Return what the card says of the people that a model was trained on.

    Parameters
    ----------
    dataset : xarray.Dataset
        Those people alone, as :func:`brainnet.cohort.gather` has them.
    stages : (n_subjects,) array of str
        The stage of each.

    Returns
    -------
    dict
        ``name``, ``n`` by stage, ``measured`` by modality, ``simulated``, ``networks`` (the
        fingerprint of each, sorted), and where known ``age`` (range), ``sex`` and ``site``
        (counts). Nobody's name.
    """
    marks = fingerprints(dataset["edges"].values)
    count, names = (marks != "").sum(axis=0), dataset["modality"].values.astype(str)
    known: dict[str, Any] = {
        "name": str(dataset.attrs.get("participants", "not given")),
        "n": _counts(np.asarray(stages)),
        "measured": dict(zip(names.tolist(), count.tolist(), strict=True)),
        "simulated": bool(dataset.attrs.get("simulated", False)),
        "networks": sorted(set(marks[marks != ""].tolist())),
    }
    if "age" in dataset.coords:
        age = pd.to_numeric(pd.Series(dataset["age"].values), errors="coerce").dropna()
        if len(age):
            known["age"] = [float(age.min()), float(age.max())]
    for name in ("sex", "site"):
        if name in dataset.coords:
            known[name] = _counts(words(dataset[name].values))
    return known


def _counts(values: NDArray) -> dict[str, int]:
    found, counts = np.unique(values.astype(str), return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def stager_card(
    dataset: xr.Dataset, stages: ArrayLike, *, preprocessing: Mapping[str, Any], **more: Any
) -> dict[str, Any]:
    """Return all that a card says of a model beside its own settings.

    Parameters
    ----------
    dataset : xarray.Dataset
        Those that it was trained on.
    stages : (n_subjects,) array of str
        The stage of each.
    preprocessing : mapping
        How their networks were made (``record`` and its ``sha256``).
    **more
        Scores, evaluation, seed, versions and whatever else JSON holds.
    """
    cohort, regions = cohort_card(dataset, stages), dataset["region"].values.astype(str).tolist()
    limits = [*LIMITS, _SIMULATED] if cohort["simulated"] else [*LIMITS]
    return {
        "intended_use": INTENDED_USE,
        "limits": limits,
        "cohort": cohort,
        "atlas": {
            "name": str(dataset.attrs.get("atlas", "")),
            "space": str(dataset.attrs.get("space", "")),
            "n_regions": len(regions),
            "regions_sha256": region_hash(regions),
        },
        "regions": regions,
        "coordinates": _coordinates(dataset),
        "modalities": dataset["modality"].values.astype(str).tolist(),
        "kinds": [each for each in str(dataset.attrs.get("kinds", "")).split(", ") if each],
        "preprocessing": dict(preprocessing),
        **more,
    }


def _coordinates(dataset: xr.Dataset) -> list[list[float]] | None:
    """Return the centroids of the regions (mm), None where they are not known."""
    if not all(axis in dataset.coords for axis in ("x", "y", "z")):
        return None
    table = np.stack([dataset[axis].values.astype(np.float64) for axis in ("x", "y", "z")], axis=1)
    return table.tolist() if np.isfinite(table).all() else None


def save_stager(folder: Path | str, estimator: Any, card: Mapping[str, Any]) -> Path:
    """Write a fitted model with the whole of its card; return the folder.

    Parameters
    ----------
    folder : path
        Made where it is missing.
    estimator : GraphClassifier, or Harmonised around one
        Fitted.
    card : mapping
        As :func:`stager_card` makes it. Of a harmonised model its limits say what becomes of
        people of other sites.

    Raises
    ------
    ValueError
        If the model cannot be written without a pickle, or the numbers of regions or modalities
        are not those of the card.
    """
    from brainnet.models.harmonised_saving import policy

    if not hasattr(estimator, "save"):
        raise ValueError(
            f"estimator must be a graph network to be saved; got {type(estimator).__name__}. "
            "Choose one of brainnet.models.graph."
        )
    names = {"modalities": card["modalities"], "regions": card["regions"]}
    estimator.save(folder, **names)
    network, own = load_checkpoint(folder, task=TASK)
    arrays = load_arrays(Path(folder), own)
    del own["weights_sha256"]
    whole = own | dict(card)
    if said := policy(own):
        whole["limits"] = [*whole.get("limits", ()), said]
    return save_checkpoint(folder, network, whole, arrays=arrays)


def load_stager(folder: Path | str) -> Stager:
    """Return a model that `save_stager` wrote.

    Raises
    ------
    DataError
        If the folder holds no model, one that is damaged or was changed, or one whose card does
        not say of what networks it is.
    """
    from brainnet.models.graph.estimator import GraphClassifier
    from brainnet.models.graph.saving import HARMONISED
    from brainnet.models.harmonised import Harmonised

    card = load_card_of(folder)
    kind = Harmonised if HARMONISED in card else GraphClassifier
    return Stager(kind.load(folder), card)


def load_card_of(folder: Path | str) -> dict[str, Any]:
    """Return the card of a model, without its weights; raises as `load_stager`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(folder, "is not the folder of a model", _SAVE_ANEW)
    card = load_card(folder, {"task": str}, task=TASK)
    for key, kind in _REQUIRED.items():
        if not isinstance(card.get(key), kind):
            what = f"the card does not say what {key} the model's networks had"
            raise DataError(folder / CARD, what, _SAVE_ANEW)
    return card
