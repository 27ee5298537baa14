"""Subjects without what their site adds, and any staging model on them; learned in the fold."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from brainnet.cohort import words
from brainnet.cohort.subjects import Subjects, as_subjects
from brainnet.stats.design import MISSING
from brainnet.stats.harmonise import ComBat

__all__ = ["Harmonised", "Harmoniser"]

Floats = NDArray[np.float64]

_FISHER_LIMIT = 1 - 1e-7


class Harmoniser(TransformerMixin, BaseEstimator):
    """Take the site out of subjects: edges, values and network measures.

    One :class:`~brainnet.stats.harmonise.ComBat` for the edges of each modality, one for its
    regional values, one for each regional measure and one for the measures of its networks: its
    prior is shared by columns of one kind. Networks whose training edges lie in -1 to 1 on both
    sides of 0 (correlations) are adjusted as Fisher's z and come back in -1 to 1; others (such as
    similarities from 0 to 1, where z has no end) as they are, and may leave their range a little.
    Measures that the subjects already have are adjusted themselves; those that are taken later
    are of the adjusted networks. The two are not the same.

    Parameters
    ----------
    site : str
        Covariate that names the site or scanner.
    keep : sequence of str
        Covariates whose effect stays. Never the stage, nor what gives it away (see the notes of
        :class:`~brainnet.stats.harmonise.ComBat`).
    adjust, prior, small, unseen, min_unseen
        As of :class:`~brainnet.stats.harmonise.ComBat`. A site of which training subjects lack a
        modality altogether is unseen in that modality.

    Attributes
    ----------
    combats_ : mapping of tuple to ComBat
        By kind, modality and measure; what no training subject has is not there, and comes back
        as it is.
    fisher_ : (n_modalities,) bool array
        Whose edges are adjusted as Fisher's z.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.uniform(0, 0.2, size=(40, 1, 6, 6))
    >>> networks = networks + networks.swapaxes(2, 3)
    >>> networks[20:] += 0.3
    >>> people = pd.DataFrame({"site": ["A"] * 20 + ["B"] * 20})
    >>> subjects = replace(as_subjects(networks), covariates=people)
    >>> edges = Harmoniser(keep=()).fit_transform(subjects).edges[..., 0, 1]
    >>> bool(abs(edges[:20].mean() - edges[20:].mean()) < 0.02)
    True
    """

    def __init__(
        self,
        *,
        site: str = "site",
        keep: Sequence[str] = ("age", "sex"),
        adjust: str = "location_and_scale",
        prior: str = "columns",
        small: str = "fail",
        unseen: str = "fail",
        min_unseen: int = 10,
    ) -> None:
        self.site = site
        self.keep = keep
        self.adjust = adjust
        self.prior = prior
        self.small = small
        self.unseen = unseen
        self.min_unseen = min_unseen

    def fit(self, subjects: Any, y: object = None) -> "Harmoniser":
        """Learn the effects of the sites from training subjects.

        Raises
        ------
        ValueError
            If a covariate is not there, or as :meth:`brainnet.stats.harmonise.ComBat.fit`.
        """
        known = as_subjects(subjects)
        sites, kept = self._people(known)
        self.names_ = _names(known)
        self.fisher_ = _correlations(known)
        combats: dict[Hashable, ComBat] = {}
        for key, table in _tables(known, self.fisher_):
            if np.isfinite(table).any():
                combats[key] = self._of(key, ComBat(**self._options()).fit, table, sites, kept)
        self.combats_: Mapping[Hashable, ComBat] = combats
        return self

    def transform(self, subjects: Any) -> Subjects:
        """Return the subjects without the effects of their sites.

        Their covariates say so (``attrs["harmonised"]``), and :mod:`brainnet.evaluate` refuses
        them: it must be done anew in each fold.

        Raises
        ------
        ValueError
            If the subjects have other modalities, regions or measures than those of training, an
            edge beyond 1 where training had none, or as
            :meth:`brainnet.stats.harmonise.ComBat.transform`.
        """
        check_is_fitted(self, "combats_")
        known = as_subjects(subjects)
        sites, kept = self._people(known)
        if _names(known) != self.names_:
            raise ValueError(
                "subjects must have the modalities, regions and measures of training, in that "
                "order. Gather both with one atlas, and call with_measures on both or neither."
            )
        _refuse_beyond(known, self.fisher_)
        adjusted = {
            key: self._of(key, self.combats_[key].transform, table, sites, kept)
            if key in self.combats_
            else table
            for key, table in _tables(known, self.fisher_)
        }
        return _rebuilt(known, adjusted, self.fisher_)

    def unseen_in(self, subjects: Any) -> list[tuple[str, ...]]:
        """Return of each subject the modalities that it has and its site lacked in training.

        Returns
        -------
        list of tuple of str
            Empty where nothing of the subject's is of an unseen site.
        """
        known = as_subjects(subjects)
        sites = words(known.covariates[self.site])
        names = self.names_[0]
        lost = np.zeros((len(known), len(names)), dtype=bool)
        for key, measured in self._measured(known):
            lost[:, key[1]] |= measured & ~np.isin(sites, self.combats_[key].sites_)
        return [tuple(np.array(names)[row].tolist()) for row in lost]

    def refusals(self, subjects: Any) -> list[str]:
        """Say of each subject why it cannot be harmonised; nothing where it can.

        Whoever is left once those are taken out can be given to :meth:`transform` together.
        """
        known = as_subjects(subjects)
        sites, _ = self._people(known)
        found = ["" if site not in MISSING else "its site is not known" for site in sites.tolist()]
        tables = [
            (key[1], measured & ~np.isin(sites, self.combats_[key].sites_))
            for key, measured in self._measured(known)
        ]
        while True:
            there, before = np.array([not why for why in found]), list(found)
            for modality, unseen in tables:
                for site in np.unique(sites[unseen & there]).tolist():
                    rows = np.flatnonzero(unseen & there & (sites == site))
                    why = self._why_not(site, self.names_[0][modality], len(rows))
                    for row in rows if why else ():
                        found[row] = why
            if found == before:
                return found

    def _why_not(self, site: str, modality: str, n_rows: int) -> str:
        """Return why subjects of an unseen site cannot be harmonised, if so."""
        if self.unseen == "fail":
            return f"is of site {site}, of which the model has not seen the modality {modality}"
        if self.unseen == "estimate" and n_rows < self.min_unseen:
            return (
                f"is of site {site}, unseen in the modality {modality}: its effect is estimated "
                f"from {self.min_unseen} subjects or more, given together; got {n_rows}"
            )
        return ""

    def _measured(self, subjects: Subjects) -> Iterator[tuple["_Key", NDArray[np.bool_]]]:
        """Yield who has anything of each table that was learned."""
        check_is_fitted(self, "combats_")
        for key, table in _tables(subjects, np.zeros(len(subjects.modalities), dtype=bool)):
            if key in self.combats_:
                yield key, np.asarray(np.isfinite(table).any(axis=1))

    def _options(self) -> dict[str, Any]:
        names = ("adjust", "prior", "small", "unseen", "min_unseen")
        return {name: getattr(self, name) for name in names}

    def _people(self, subjects: Subjects) -> tuple[NDArray[np.str_], pd.DataFrame]:
        """Return the site of each subject, and the covariates to keep."""
        lost = [each for each in (self.site, *self.keep) if each not in subjects.covariates]
        if lost:
            have = ", ".join(map(str, subjects.covariates)) or "none (networks alone know no site)"
            raise ValueError(
                f"harmonisation needs the covariates {', '.join((self.site, *self.keep))}; got "
                f"{have}. Pass Subjects that have {', '.join(lost)}, or set site and keep."
            )
        return words(subjects.covariates[self.site]), subjects.covariates[list(self.keep)]

    def _of(self, key: tuple[Any, ...], step: Any, *arguments: Any) -> Any:
        """Do a step and say of which table it was if it fails."""
        try:
            return step(*arguments)
        except ValueError as error:
            modality = self.names_[0][key[1]]
            raise ValueError(f"{key[0]} of modality {modality}: {error}") from error


class Harmonised(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Harmonise, then stage: both learned from the training subjects of the fold.

    Parameters
    ----------
    estimator : classifier
        On :class:`~brainnet.cohort.subjects.Subjects`; a clone is fitted.
    site, keep, adjust, prior, small, unseen, min_unseen
        As of :class:`Harmoniser`.

    Attributes
    ----------
    harmoniser_ : Harmoniser
    estimator_ : classifier
        Fitted on the harmonised training subjects.
    classes_ : array
        Of ``estimator_``.

    Notes
    -----
    Where each stage comes from its own site, site and stage are one, and :meth:`fit` refuses.
    With ``unseen="estimate"`` a subject's prediction depends on who else of its site is predicted
    in the same call.

    Examples
    --------
    >>> from brainnet.models.linear import edge_logistic
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.uniform(0, 0.2, size=(40, 1, 6, 6))
    >>> networks = networks + networks.swapaxes(2, 3)
    >>> networks[::2, :, :3, :3] += 0.2
    >>> networks[20:] += 0.3
    >>> people = pd.DataFrame({"site": ["A"] * 20 + ["B"] * 20})
    >>> subjects = replace(as_subjects(networks), covariates=people)
    >>> model = Harmonised(edge_logistic(), keep=())
    >>> model.fit(subjects, ["AD", "CN"] * 20).score(subjects, ["AD", "CN"] * 20)
    1.0
    """

    def __init__(
        self,
        estimator: Any,
        *,
        site: str = "site",
        keep: Sequence[str] = ("age", "sex"),
        adjust: str = "location_and_scale",
        prior: str = "columns",
        small: str = "fail",
        unseen: str = "fail",
        min_unseen: int = 10,
    ) -> None:
        self.estimator = estimator
        self.site = site
        self.keep = keep
        self.adjust = adjust
        self.prior = prior
        self.small = small
        self.unseen = unseen
        self.min_unseen = min_unseen

    def fit(
        self, subjects: Any, stages: ArrayLike, groups: ArrayLike | None = None
    ) -> "Harmonised":
        """Learn from training subjects.

        Parameters
        ----------
        subjects : Subjects
        stages : (n_subjects,) array
        groups : (n_subjects,) array, optional
            Participant of each row, handed on where the estimator takes it.

        Raises
        ------
        ValueError
            If site or a kept covariate tells the stage entirely, or as :meth:`Harmoniser.fit`.
        """
        known = as_subjects(subjects)
        labels = np.asarray(stages)
        if labels.shape != (len(known),):
            raise ValueError(f"stages must name one a subject, {len(known)}; got {labels.size}.")
        options = self.get_params(deep=False)
        del options["estimator"]
        harmoniser = Harmoniser(**options)
        for name in (self.site, *self.keep):
            if name in known.covariates:
                _refuse_target(name, words(known.covariates[name]), words(labels))
        harmonised = harmoniser.fit(known).transform(known)
        fresh = clone(self.estimator)
        passed = groups is not None and has_fit_parameter(fresh, "groups")
        self.harmoniser_ = harmoniser
        self.estimator_ = fresh.fit(harmonised, labels, **({"groups": groups} if passed else {}))
        self.classes_ = self.estimator_.classes_
        return self

    def predict(self, subjects: Any) -> NDArray:
        """Return the stage of each subject."""
        check_is_fitted(self, "estimator_")
        return np.asarray(self.estimator_.predict(self.harmoniser_.transform(subjects)))

    def predict_proba(self, subjects: Any) -> Floats:
        """Return ``(n_subjects, n_stages)`` probabilities in the order of ``classes_``."""
        check_is_fitted(self, "estimator_")
        return np.asarray(self.estimator_.predict_proba(self.harmoniser_.transform(subjects)))

    def save(
        self,
        folder: Path | str,
        *,
        modalities: Sequence[str] = (),
        regions: Sequence[str] = (),
        scores: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the fitted model into a folder: a model card and safetensors, no pickle.

        Parameters
        ----------
        folder, scores
            As of :meth:`brainnet.models.graph.estimator.GraphClassifier.save`.
        modalities, regions : sequences of str
            Those of training, where given.

        Raises
        ------
        ValueError
            If the estimator is not a :class:`~brainnet.models.graph.estimator.GraphClassifier`
            that can be saved, or names are others than those of training.
        """
        from brainnet.models.harmonised_saving import save_harmonised

        return save_harmonised(self, folder, modalities=modalities, regions=regions, scores=scores)

    @classmethod
    def load(cls, folder: Path | str) -> "Harmonised":
        """Return a model that `save` wrote; it predicts the same, bit for bit.

        Raises
        ------
        DataError
            If the folder holds no such model, or one that is damaged or was changed.
        """
        from brainnet.models.harmonised_saving import load_harmonised

        return load_harmonised(folder, cls)


#: Keys of a table: what it holds, the place of its modality, the place of its measure.
_Key = tuple[str, int, int]
_KINDS = MappingProxyType({"values": "values", "measures": "measures", "graph": "graph_measures"})


def _tables(subjects: Subjects, fisher: NDArray[np.bool_]) -> Iterator[tuple[_Key, Floats]]:
    """Yield each table of columns of one kind."""
    rows, columns = np.triu_indices(subjects.shape[-1], k=1)
    for modality in range(len(subjects.modalities)):
        edges = subjects.edges[:, modality, rows, columns]
        if fisher[modality]:
            edges = np.arctanh(np.clip(edges, -_FISHER_LIMIT, _FISHER_LIMIT))
        yield ("edges", modality, 0), edges
        yield ("values", modality, 0), subjects.values[:, modality]
        for measure in range(subjects.measures.shape[-1]):
            yield ("measures", modality, measure), subjects.measures[:, modality, :, measure]
        if subjects.graph_measures.shape[-1]:
            yield ("graph", modality, 0), subjects.graph_measures[:, modality]


def _rebuilt(
    subjects: Subjects, tables: Mapping[_Key, Floats], fisher: NDArray[np.bool_]
) -> Subjects:
    """Return the subjects with what the tables hold; the diagonal as it was."""
    rows, columns = np.triu_indices(subjects.shape[-1], k=1)
    new = {
        name: getattr(subjects, name).copy()
        for name in ("edges", "values", "measures", "graph_measures")
    }
    for (kind, modality, measure), table in tables.items():
        if kind == "edges":
            weights = np.tanh(table) if fisher[modality] else table
            new["edges"][:, modality, rows, columns] = weights
            new["edges"][:, modality, columns, rows] = weights
        elif kind == "measures":
            new["measures"][:, modality, :, measure] = table
        else:
            new[_KINDS[kind]][:, modality] = table
    covariates = subjects.covariates.copy()
    covariates.attrs = {**covariates.attrs, "harmonised": "by site"}  # an evaluation refuses these
    return replace(subjects, covariates=covariates, **new)


def _names(subjects: Subjects) -> tuple[tuple[str, ...], ...]:
    return (
        subjects.modalities,
        subjects.regions,
        subjects.measure_names,
        subjects.graph_measure_names,
    )


def _correlations(subjects: Subjects) -> NDArray[np.bool_]:
    """Say whose edges are correlations: inside -1 to 1, on both sides of 0."""
    low = np.fmin.reduce(subjects.edges, axis=(0, 2, 3), initial=0.0)
    high = np.fmax.reduce(subjects.edges, axis=(0, 2, 3), initial=0.0)
    inside: NDArray[np.bool_] = (low < 0) & (low >= -1) & (high <= 1)
    return inside


def _refuse_beyond(subjects: Subjects, fisher: NDArray[np.bool_]) -> None:
    low = np.fmin.reduce(subjects.edges, axis=(0, 2, 3), initial=0.0)
    largest = np.maximum(np.fmax.reduce(subjects.edges, axis=(0, 2, 3), initial=0.0), -low)
    for modality in np.flatnonzero(fisher & (largest > 1)).tolist():
        raise ValueError(
            f"edges of modality {subjects.modalities[modality]} must lie in -1 to 1, as in "
            f"training; got {largest[modality]:.3g}. Measure both with one kind of edge."
        )


def _refuse_target(name: str, values: NDArray[np.str_], labels: NDArray[np.str_]) -> None:
    """Refuse a covariate that is the stage under another name."""
    pairs = set(zip(values.tolist(), labels.tolist(), strict=True))
    if len(pairs) > 1 and len(pairs) == len(set(values.tolist())) == len(set(labels.tolist())):
        raise ValueError(
            f"covariate {name!r} must not tell the stage; each of its values goes with one stage "
            "and each stage with one value, so harmonisation would add or remove the stage "
            "itself. Leave it out, or add subjects."
        )
