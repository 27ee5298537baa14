"""Whether the site can still be told from what a model is given, before and after harmonisation."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import RidgeClassifierCV
from sklearn.svm import SVC

from brainnet.cohort import words
from brainnet.cohort.subjects import Subjects
from brainnet.evaluate.folds import Folds, deal
from brainnet.evaluate.scores import weighted_scores
from brainnet.models.edges import EdgeTable
from brainnet.models.harmonised import Harmoniser

__all__ = ["site_decoding"]

Floats = NDArray[np.float64]

_N_BOOTSTRAP = 1000
_N_AXES = 50


def site_decoding(
    subjects: Subjects,
    harmoniser: Harmoniser | None = None,
    *,
    n_splits: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Predict the site of each subject from its features, as they are and harmonised.

    Out of fold, stratified by site, a participant's rows together; imputation, harmonisation,
    scaling and classifiers are learned in each fold. Two classifiers look at edges, values and
    network measures together: a linear one (ridge, its penalty chosen on the training subjects),
    which finds sites of other means, and one that is not (a support vector machine with a
    Gaussian kernel, on the 50 leading axes), which finds sites of other variances or shapes.

    Parameters
    ----------
    subjects : Subjects
        With the harmoniser's site, and the covariates it keeps.
    harmoniser : Harmoniser, optional
        A clone is fitted in each fold; ``Harmoniser()`` by default. Its ``unseen`` does not
        matter: each site stands in each fold's training subjects.
    n_splits : int
        Folds; lowered to the participants of the smallest site, with a warning.
    seed : int
        Decides folds and bootstrap.

    Returns
    -------
    DataFrame
        A row for each of ``features`` (``raw``, ``harmonised``) and ``classifier`` (``linear``,
        ``nonlinear``): ``balanced_accuracy`` over sites, ``low`` and ``high`` (95 % bootstrap
        over participants within site), ``chance`` (1 over the number of sites) and ``decodable``
        (``low`` above chance).

    Raises
    ------
    ValueError
        If there are not two sites with two participants each, or as
        :meth:`brainnet.models.harmonised.Harmoniser.fit`.

    Notes
    -----
    A site that cannot be decoded by these two is not proven gone. One that can be may differ in
    what was kept on purpose: age and sex of its subjects, or its stages. After harmonisation the
    score tends to lie below chance (0.44 instead of 0.5, 120 simulated subjects without site
    effects): with the training rows' means goes their noise, which test subjects do not share.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from brainnet.cohort.subjects import as_subjects
    >>> networks = np.random.default_rng(0).normal(size=(60, 1, 5, 5))
    >>> networks = networks + networks.swapaxes(2, 3)
    >>> networks[30:] += 3
    >>> people = pd.DataFrame({"site": ["A"] * 30 + ["B"] * 30})
    >>> found = site_decoding(
    ...     replace(as_subjects(networks), covariates=people), Harmoniser(keep=())
    ... )
    >>> found[["features", "classifier", "decodable"]].values.tolist()[:3:2]
    [['raw', 'linear', True], ['harmonised', 'linear', False]]
    """
    chosen = harmoniser or Harmoniser()
    sites = _sites(subjects, chosen.site)
    names, truth = np.unique(sites, return_inverse=True)
    said = {
        (features, classifier): np.zeros(len(sites), dtype=np.intp)
        for features in ("raw", "harmonised")
        for classifier in ("linear", "nonlinear")
    }
    for split in deal(Folds(n_splits=n_splits, seed=seed), sites, subjects.participants):
        train, test = subjects[split.train], subjects[split.test]
        fitted = clone(chosen).fit(train)
        for features, (own, other) in {
            "raw": (train, test),
            "harmonised": (fitted.transform(train), fitted.transform(test)),
        }.items():
            guesses = _guesses(*_axes(_table(own), _table(other)), truth[split.train])
            for classifier, guess in guesses.items():
                said[features, classifier][split.test] = guess
    weights = _weights(subjects.participants, sites, seed)
    rows = []
    for (features, classifier), guess in said.items():
        found = weighted_scores(np.eye(names.size)[guess], truth, weights)["balanced_accuracy"]
        low, high = np.percentile(found[1:], [2.5, 97.5])
        rows.append((features, classifier, found[0], low, high, 1 / names.size))
    columns = ["features", "classifier", "balanced_accuracy", "low", "high", "chance"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(decodable=table["low"] > table["chance"])


def _sites(subjects: Subjects, name: str) -> NDArray[np.str_]:
    if name not in subjects.covariates:
        have = ", ".join(map(str, subjects.covariates)) or "none"
        raise ValueError(
            f"subjects must have the covariate {name!r}; got {have}. Name it: Harmoniser(site=...)."
        )
    sites = words(subjects.covariates[name].to_numpy(dtype=object))
    if (sites == "n/a").any() or np.unique(sites).size < 2:
        raise ValueError(
            f"sites must be known and two or more; got {', '.join(np.unique(sites).tolist())}. "
            "Leave out subjects without a site."
        )
    return sites


def _guesses(own: Floats, other: Floats, truth: NDArray[np.intp]) -> dict[str, NDArray[np.intp]]:
    """Return the sites that classifiers of the training rows guess of the others."""
    linear = RidgeClassifierCV(np.logspace(-3, 3, 7), class_weight="balanced").fit(own, truth)
    few = slice(min(_N_AXES, len(own) // 4))
    curved = SVC(class_weight="balanced", gamma="scale").fit(own[:, few], truth)
    return {"linear": linear.predict(other), "nonlinear": curved.predict(other[:, few])}


def _axes(own: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Standardise by the training rows, what is missing at the mean, and turn onto their axes.

    A penalised linear model loses nothing by it; the longest axis comes first.
    """
    seen = np.isfinite(own)
    count = np.maximum(seen.sum(axis=0), 1)
    centre = np.where(seen, own, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(seen, own - centre, 0.0) ** 2).sum(axis=0) / count)
    spread[spread <= 1e-12 * np.abs(centre)] = np.inf
    train, test = (np.nan_to_num((each - centre) / spread) for each in (own, other))
    values, vectors = np.linalg.eigh(train @ train.T)
    kept = np.flatnonzero(values > 1e-12 * values[-1])[::-1]
    if not kept.size:
        return np.zeros((len(own), 1)), np.zeros((len(other), 1))
    lengths = np.sqrt(values[kept])
    scale = np.sqrt(values.sum() / len(own))
    back = vectors[:, kept] / lengths
    return vectors[:, kept] * lengths / scale, (test @ train.T) @ back / scale


def _table(subjects: Subjects) -> Floats:
    """Return all that the subjects' networks say, a row a subject."""
    n_subjects = len(subjects)
    parts = [EdgeTable().fit_transform(subjects)] + [
        each.reshape(n_subjects, -1)
        for each in (subjects.values, subjects.measures, subjects.graph_measures)
    ]
    return np.concatenate(parts, axis=1)


def _weights(people: NDArray[np.str_], sites: NDArray[np.str_], seed: int) -> Floats:
    """Return how often each row is drawn: once, then participants of each site with return."""
    rng = np.random.default_rng(seed)
    weights = np.ones((_N_BOOTSTRAP + 1, len(people)))
    for site in np.unique(sites).tolist():
        rows = np.flatnonzero(sites == site)
        names, place = np.unique(people[rows], return_inverse=True)
        counts = rng.multinomial(names.size, np.full(names.size, 1 / names.size), _N_BOOTSTRAP)
        weights[1:, rows] = counts[:, place]
    return weights
