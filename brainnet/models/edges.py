"""What every staging model needs first: edges as a table, and unmeasured edges filled in-fold.

The contract of all models: ``networks`` are :class:`~brainnet.cohort.subjects.Subjects`, or one
array of shape ``(n_subjects, n_modalities, n_regions, n_regions)``, symmetric in its last two axes,
NaN where a region (or a whole modality) of that subject was not measured. The diagonal is ignored.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from brainnet.cohort.subjects import Subjects, as_subjects

__all__ = ["EdgeImputer", "EdgeTable", "SubjectsTransformer", "column_medians"]


class SubjectsTransformer(TransformerMixin, BaseEstimator):
    """Base of what takes subjects: it knows the modalities and regions that it was fitted on.

    Attributes
    ----------
    shape_ : (n_modalities, n_regions, n_regions)
    names_ : (modalities, regions) or None
        Where it was fitted on :class:`~brainnet.cohort.subjects.Subjects`; an array names nothing.
    """

    def learn_layout(self, networks: Any) -> Subjects:
        """Remember the layout of training subjects, and return them checked."""
        subjects = as_subjects(networks)
        self.shape_: tuple[int, ...] = subjects.shape[1:]
        self.names_ = _names(networks)
        return subjects

    def check_layout(self, networks: Any) -> Subjects:
        """Return subjects, or say how they differ from the training subjects.

        Raises
        ------
        ValueError
            Another number of modalities or regions; other names of them, or in another order.
        """
        subjects = as_subjects(networks)
        _same_shape(subjects.edges, self.shape_)
        names = _names(networks)
        if names and self.names_:
            _same_names("modalities", names[0], self.names_[0])
            _same_names("regions", names[1], self.names_[1])
        return subjects


class EdgeTable(SubjectsTransformer):
    """Lay the upper triangles of all modalities side by side, one row a subject.

    Stateless but for the layout it was fitted on: a network of another atlas, or with other
    modalities, is refused at :meth:`transform`.

    Examples
    --------
    >>> EdgeTable().fit_transform(np.arange(9.0).reshape(1, 1, 3, 3) * 0 + 2)
    array([[2., 2., 2.]])
    """

    def fit(self, networks: ArrayLike, y: object = None) -> "EdgeTable":
        """Remember the layout of one subject."""
        self.learn_layout(networks)
        return self

    def transform(self, networks: ArrayLike) -> NDArray[np.float64]:
        """Return ``(n_subjects, n_modalities * n_regions * (n_regions - 1) / 2)`` edges."""
        return _upper(self.check_layout(networks).edges)

    def fit_transform(self, networks: ArrayLike, y: object = None) -> NDArray[np.float64]:
        """Return the table of the subjects whose layout is remembered."""
        return _upper(self.learn_layout(networks).edges)

    def inverse_transform(self, table: ArrayLike) -> NDArray[np.float64]:
        """Return the symmetric networks of a table of edges, with a zero diagonal."""
        n_modalities, n_regions, _ = self.shape_
        rows, columns = np.triu_indices(n_regions, k=1)
        edges = np.asarray(table, dtype=np.float64).reshape(-1, n_modalities, rows.size)
        networks = np.zeros((len(edges), *self.shape_))
        networks[:, :, rows, columns] = networks[:, :, columns, rows] = edges
        return networks


class EdgeImputer(TransformerMixin, BaseEstimator):
    r"""Replace unmeasured edges by the median of the training subjects' same edge.

    An edge that no training subject has takes the median of its modality's learned medians; a
    modality that no training subject has is 0 throughout. The diagonal comes out 0. Nothing is
    learned from the subjects that are only transformed.

    Attributes
    ----------
    medians_ : (n_modalities, n_regions, n_regions) array
        The learned fill values.

    Notes
    -----
    A value filled in carries no information on its subject, but the pattern of what is missing
    does: where missing data goes with the stage (one clinic scans no controls with PET), any
    model can learn that. Look at ``coverage`` by stage before trusting a score.

    Examples
    --------
    >>> networks = np.array([0.2, 0.4, np.nan])[:, None, None, None] * (1 - np.eye(2))
    >>> EdgeImputer().fit(networks[:2]).transform(networks)[2, 0].round(2)
    array([[0. , 0.3],
           [0.3, 0. ]])
    """

    def fit(self, networks: ArrayLike, y: object = None) -> "EdgeImputer":
        """Learn the medians of the training subjects."""
        table = EdgeTable()
        medians = column_medians(table.fit_transform(networks)).reshape(table.shape_[0], -1)
        typical = column_medians(medians.T)[:, None]  # (n_modalities, 1)
        medians = np.where(np.isnan(medians), np.nan_to_num(typical), medians)
        self.medians_: NDArray[np.float64] = table.inverse_transform(medians.reshape(1, -1))[0]
        return self

    def transform(self, networks: ArrayLike) -> NDArray[np.float64]:
        """Return a copy without NaN and with a zero diagonal."""
        checked = as_subjects(networks).edges
        _same_shape(checked, self.medians_.shape)
        filled = np.where(np.isnan(checked), self.medians_, checked)
        diagonal = np.arange(filled.shape[-1])
        filled[..., diagonal, diagonal] = 0.0
        return filled


def column_medians(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each column without its NaN; NaN for a column without a value.

    Examples
    --------
    >>> column_medians(np.array([[1.0, np.nan], [4.0, np.nan], [np.nan, np.nan]]))
    array([2.5, nan])
    """
    ordered = np.sort(table, axis=0)  # NaN last
    count = np.sum(~np.isnan(table), axis=0)
    columns = np.arange(table.shape[1])
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(table) - 1)
    medians: NDArray[np.float64] = (ordered[low, columns] + ordered[high, columns]) / 2
    return medians


def _upper(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper triangles, one row a subject."""
    n_subjects, n_modalities, n_regions, _ = edges.shape
    rows, columns = np.triu_indices(n_regions, k=1)
    flat = edges.reshape(n_subjects, n_modalities, -1)
    upper: NDArray[np.float64] = np.take(flat, rows * n_regions + columns, axis=2)
    return upper.reshape(n_subjects, -1)


def _names(networks: Any) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    named = isinstance(networks, Subjects)
    return (networks.modalities, networks.regions) if named else None


def _same_shape(networks: NDArray[np.float64], shape: tuple[int, ...]) -> None:
    if networks.shape[1:] != tuple(shape):
        raise ValueError(
            "networks must have the modalities and regions of the training subjects, "
            f"{tuple(shape)}; got {networks.shape[1:]}. Gather both with the same atlas."
        )


def _same_names(what: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    pairs = enumerate(zip(given, known, strict=True))
    differ = [place for place, (one, other) in pairs if one != other]
    if differ:
        first = differ[0]
        raise ValueError(
            f"{what} must be those of the training subjects, in their order; got {given[first]!r} "
            f"where {known[first]!r} was ({len(differ)} differ). Gather both with the same atlas."
        )
