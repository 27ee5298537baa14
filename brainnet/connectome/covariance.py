"""Edges from one value per region and subject: correlation over a group.

One value per region gives no network of one subject. Across a group of subjects it gives one
network of the group.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.connectome.correlation import correlate_columns


def group_correlation(
    values: ArrayLike, *, covariates: ArrayLike | None = None
) -> NDArray[np.float64]:
    r"""Return the correlation over subjects between the values of each pair of regions.

    With covariates :math:`Z` (an intercept is added), the correlation of the residuals
    :math:`(I - Z Z^+) X`: the partial correlation given the covariates.

    Parameters
    ----------
    values : (..., n_subjects, n_regions) array
        One value per subject and region: a volume, an uptake. NaN marks what was not measured.
    covariates : (n_subjects,) or (n_subjects, n_covariates) array, optional
        Numbers to regress out, such as age or head size; code categories as 0 and 1.

    Returns
    -------
    (..., n_regions, n_regions) array
        In [-1, 1], exactly symmetric, zero diagonal. A region that was not measured in every
        subject, or that does not vary once the covariates are out, is NaN in its whole row and
        column. It describes the whole group given: for prediction, pass training subjects only.

    Raises
    ------
    ValueError
        If the subjects of ``values`` and ``covariates`` differ in number, a covariate is not
        finite, a value is infinite, or the intercept and the covariates leave fewer than two
        degrees of freedom.

    References
    ----------
    Alexander-Bloch, Giedd and Bullmore (2013), Nat Rev Neurosci 14:322-336.

    Examples
    --------
    >>> age = np.array([60.0, 65.0, 70.0, 75.0, 80.0])
    >>> noise = np.array([1.0, -1.0, 0.0, -1.0, 1.0])
    >>> volumes = np.stack([age + noise, 2 * age + noise], axis=1)
    >>> group_correlation(volumes, covariates=age).round(6)
    array([[0., 1.],
           [1., 0.]])
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim < 2 or data.shape[-1] == 0:
        raise ValueError(
            f"values must be (..., n_subjects, n_regions); got shape {data.shape}. "
            "Stack one row per subject."
        )
    if np.isinf(data).any():
        raise ValueError(
            f"values must not be infinite; got {int(np.isinf(data).sum())} infinite values. "
            "Set unmeasured regions to NaN."
        )
    design = _design(covariates, n_subjects=data.shape[-2])
    basis, singular, _ = np.linalg.svd(design, full_matrices=False)
    basis = basis[:, singular > 1e-10 * singular[0]]
    if data.shape[-2] - basis.shape[1] < 2:
        raise ValueError(
            f"values must hold at least {basis.shape[1] + 2} subjects for {basis.shape[1] - 1} "
            f"covariates; got {data.shape[-2]}. Add subjects or drop covariates."
        )
    residuals = data - basis @ (basis.T @ data)
    return correlate_columns(residuals, level=np.abs(data).max(axis=-2))


def _design(covariates: ArrayLike | None, n_subjects: int) -> NDArray[np.float64]:
    """Return an intercept and the standardised covariates as columns."""
    if covariates is None:
        return np.ones((n_subjects, 1))
    table = np.asarray(covariates, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or len(table) != n_subjects:
        raise ValueError(
            f"covariates must have one row for each of the {n_subjects} subjects; got shape "
            f"{np.shape(covariates)}. Align the rows with those of values."
        )
    if not np.isfinite(table).all():
        raise ValueError(
            f"covariates must be finite; got {int((~np.isfinite(table)).sum())} that are not. "
            "Leave out those subjects or impute their covariates."
        )
    centred = table - table.mean(axis=0)
    spread = centred.std(axis=0)
    return np.column_stack([np.ones(n_subjects), centred / np.where(spread > 0, spread, 1.0)])
