"""What every staging model needs first: edges as a table, and unmeasured edges filled in-fold.

The contract of all models: ``networks`` are :class:`~brainnet.cohort.subjects.Subjects`, or one
array of shape ``(n_subjects, n_modalities, n_regions, n_regions)``, symmetric in its last two axes,
NaN where a region (or a whole modality) of that subject was not measured. The diagonal is ignored.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from brainnet.cohort.subjects import as_subjects

__all__ = ["EdgeImputer", "EdgeTable"]


class EdgeTable(TransformerMixin, BaseEstimator):
    """Lay the upper triangles of all modalities side by side, one row a subject.

    Stateless but for the shape it was fitted on: a network of another atlas or with another
    number of modalities is refused at :meth:`transform`.

    Examples
    --------
    >>> EdgeTable().fit_transform(np.arange(9.0).reshape(1, 1, 3, 3) * 0 + 2)
    array([[2., 2., 2.]])
    """

    def fit(self, networks: ArrayLike, y: object = None) -> "EdgeTable":
        """Remember the shape of one subject."""
        self.shape_: tuple[int, ...] = as_subjects(networks).edges.shape[1:]
        return self

    def transform(self, networks: ArrayLike) -> NDArray[np.float64]:
        """Return ``(n_subjects, n_modalities * n_regions * (n_regions - 1) / 2)`` edges."""
        checked = as_subjects(networks).edges
        _same_shape(checked, self.shape_)
        rows, columns = np.triu_indices(checked.shape[-1], k=1)
        table: NDArray[np.float64] = checked[:, :, rows, columns].reshape(len(checked), -1)
        return table

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
        table = EdgeTable().fit(networks)
        edges = table.transform(networks)
        medians = _column_medians(edges).reshape(table.shape_[0], -1)
        typical = _column_medians(medians.T)[:, None]  # (n_modalities, 1)
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


def _same_shape(networks: NDArray[np.float64], shape: tuple[int, ...]) -> None:
    if networks.shape[1:] != tuple(shape):
        raise ValueError(
            "networks must have the modalities and regions of the training subjects, "
            f"{tuple(shape)}; got {networks.shape[1:]}. Gather both with the same atlas."
        )


def _column_medians(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of each column without its NaN; NaN for a column without a value."""
    ordered = np.sort(table, axis=0)  # NaN last
    count = np.sum(~np.isnan(table), axis=0)
    columns = np.arange(table.shape[1])
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(table) - 1)
    medians: NDArray[np.float64] = (ordered[low, columns] + ordered[high, columns]) / 2
    return medians
