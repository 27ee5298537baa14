"""A cohort as models take it: arrays by subject that scikit-learn can split."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

__all__ = ["COVARIATES", "Subjects", "as_subjects", "check_networks"]

Floats = NDArray[np.float64]

#: What the covariates of a cohort are called, where it has them.
COVARIATES = ("age", "sex", "site", "motion", "icv")


@dataclass(frozen=True, eq=False)
class Subjects:
    """Rows of a cohort, one a subject (or a visit), in the order that ``y`` has.

    It has a ``shape`` and takes arrays of rows, so scikit-learn splits it as it does an array;
    ``numpy.asarray`` gives the networks. Whatever an estimator can use stands here, and nothing
    that it must predict.

    Attributes
    ----------
    edges : (n_subjects, n_modalities, n_regions, n_regions) float64 array
        Symmetric, zero diagonal; NaN where not measured.
    values : (n_subjects, n_modalities, n_regions) float64 array
        One number a region and modality: grey-matter volume (ml), SUVR; NaN where there is none.
    measures : (n_subjects, n_modalities, n_regions, n_measures) float64 array
        Network measures of each region (:func:`brainnet.models.measures.with_measures`); no
        columns before they are asked for.
    graph_measures : (n_subjects, n_modalities, n_graph_measures) float64 array
        Measures of whole networks, likewise.
    covariates : DataFrame
        A row a subject: such of :data:`COVARIATES` as the cohort has. Never the stage.
    participants : (n_subjects,) array of str
        Who each row is, without ``sub-``; two visits of one person have one name.
    modalities, regions, measure_names, graph_measure_names : tuples of str
    coordinates : (n_regions, 3) float64 array
        Centroids in mm, template space; NaN where not known.
    """

    edges: Floats
    values: Floats
    covariates: pd.DataFrame
    participants: NDArray[np.str_]
    modalities: tuple[str, ...]
    regions: tuple[str, ...]
    coordinates: Floats
    measures: Floats = field(default_factory=lambda: np.empty((0, 0, 0, 0)))
    graph_measures: Floats = field(default_factory=lambda: np.empty((0, 0, 0)))
    measure_names: tuple[str, ...] = ()
    graph_measure_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.measures.size:
            object.__setattr__(self, "measures", np.empty((*self.edges.shape[:3], 0)))
        if not self.graph_measures.size:
            object.__setattr__(self, "graph_measures", np.empty((*self.edges.shape[:2], 0)))

    @classmethod
    def from_cohort(
        cls, dataset: xr.Dataset, *, covariates: Sequence[str] = COVARIATES
    ) -> "Subjects":
        """Return the subjects of a cohort as :func:`brainnet.cohort.gather` makes it.

        Parameters
        ----------
        dataset : xarray.Dataset
        covariates : sequence of str
            Coordinates of ``subject`` to take where the cohort has them.

        Raises
        ------
        ValueError
            If the networks are not such as :func:`check_networks` takes.
        """
        edges = check_networks(dataset["edges"].values)
        there = [name for name in covariates if name in dataset.coords]
        who = "participant_id" if "participant_id" in dataset.coords else "subject"
        place = {axis: dataset.coords.get(axis) for axis in ("x", "y", "z")}
        known = all(each is not None for each in place.values())
        return cls(
            edges=edges,
            values=(
                np.asarray(dataset["values"].values, dtype=np.float64)
                if "values" in dataset
                else np.full(edges.shape[:3], np.nan)
            ),
            covariates=pd.DataFrame(
                {name: np.asarray(dataset[name].values) for name in there},
                index=range(len(edges)),
            ),
            participants=np.array(
                [str(each).removeprefix("sub-") for each in dataset[who].values], dtype=str
            ),
            modalities=tuple(map(str, dataset["modality"].values)),
            regions=tuple(map(str, dataset["region"].values)),
            coordinates=(
                np.stack([np.asarray(each.values, dtype=np.float64) for each in place.values()], 1)  # type: ignore[union-attr]
                if known
                else np.full((edges.shape[2], 3), np.nan)
            ),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the networks: subjects, modalities, regions, regions."""
        return self.edges.shape

    @property
    def ndim(self) -> int:
        """Of the networks: 4."""
        return self.edges.ndim

    @property
    def present(self) -> NDArray[np.bool_]:
        """``(n_subjects, n_modalities)``: whether anything of the modality was measured."""
        edges, values = np.isfinite(self.edges), np.isfinite(self.values)
        off_diagonal = ~np.eye(self.shape[-1], dtype=bool)
        return np.asarray((edges & off_diagonal).any(axis=(2, 3)) | values.any(axis=2))

    def __len__(self) -> int:
        return len(self.edges)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        """Return the networks."""
        return np.array(self.edges, dtype=dtype) if copy else np.asarray(self.edges, dtype=dtype)

    def __getitem__(self, rows: Any) -> "Subjects":
        """Return some of the rows: an array or list of indices, a mask, or a slice."""
        chosen = rows[0] if isinstance(rows, tuple) else rows
        chosen = np.atleast_1d(np.arange(len(self))[chosen])
        return replace(
            self,
            edges=self.edges[chosen],
            values=self.values[chosen],
            measures=self.measures[chosen],
            graph_measures=self.graph_measures[chosen],
            covariates=self.covariates.iloc[chosen].reset_index(drop=True),
            participants=self.participants[chosen],
        )

    def only(self, modalities: Sequence[str]) -> "Subjects":
        """Return the same subjects with some of their modalities, in the order given.

        Raises
        ------
        ValueError
            If one is not there.
        """
        unknown = [name for name in modalities if name not in self.modalities]
        if unknown or not modalities:
            raise ValueError(
                f"modalities must be of {', '.join(self.modalities)}; got {list(modalities)}."
            )
        columns = [self.modalities.index(name) for name in modalities]
        return replace(
            self,
            edges=self.edges[:, columns],
            values=self.values[:, columns],
            measures=self.measures[:, columns],
            graph_measures=self.graph_measures[:, columns],
            modalities=tuple(modalities),
        )


def as_subjects(networks: Any) -> Subjects:
    """Return subjects of an array of networks with nothing else known; subjects as they are.

    Parameters
    ----------
    networks : Subjects or (n_subjects, n_modalities, n_regions, n_regions) array

    Raises
    ------
    ValueError
        As :func:`check_networks`.

    Examples
    --------
    >>> subjects = as_subjects(np.zeros((2, 1, 3, 3)))
    >>> subjects[[1]].shape, subjects.regions
    ((1, 1, 3, 3), ('region 1', 'region 2', 'region 3'))
    """
    if isinstance(networks, Subjects):
        return networks
    edges = check_networks(networks)
    n_subjects, n_modalities, n_regions, _ = edges.shape
    return Subjects(
        edges=edges,
        values=np.full(edges.shape[:3], np.nan),
        covariates=pd.DataFrame(index=range(n_subjects)),
        participants=np.array([str(row) for row in range(n_subjects)], dtype=str),
        modalities=tuple(f"modality {number + 1}" for number in range(n_modalities)),
        regions=tuple(f"region {number + 1}" for number in range(n_regions)),
        coordinates=np.full((n_regions, 3), np.nan),
    )


def check_networks(networks: ArrayLike) -> NDArray[np.float64]:
    """Return the networks as a float array, or raise what is wrong with them.

    Parameters
    ----------
    networks : (n_subjects, n_modalities, n_regions, n_regions) array
        Edge weights of any unit; NaN where not measured.

    Returns
    -------
    (n_subjects, n_modalities, n_regions, n_regions) float64 array

    Raises
    ------
    ValueError
        If the array is not four-dimensional and square, has fewer than two regions, is not
        symmetric, or holds an infinite value.

    Examples
    --------
    >>> check_networks([[[[0, 1], [1, 0]]]]).shape
    (1, 1, 2, 2)
    """
    checked = np.asarray(networks, dtype=np.float64)
    if checked.ndim != 4 or checked.shape[2] != checked.shape[3] or checked.shape[2] < 2:
        raise ValueError(
            "networks must be (n_subjects, n_modalities, n_regions, n_regions) with at least two "
            f"regions; got shape {checked.shape}. Pass dataset['edges'].values of a cohort."
        )
    if np.isinf(checked).any():
        raise ValueError(
            "networks must be finite or NaN; got an infinite edge. "
            "Clip correlations below 1 before Fisher's z."
        )
    if not np.allclose(checked, checked.swapaxes(2, 3), rtol=1e-5, atol=1e-8, equal_nan=True):
        raise ValueError(
            "networks must be symmetric in their last two axes; got a directed network. "
            "Symmetrise it first, for example (w + w.T) / 2."
        )
    return checked
