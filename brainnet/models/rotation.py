r"""Few rows, many columns: fit on as many axes as there are rows, and lose nothing.

A penalised linear model of :math:`n` rows in :math:`p \gg n` columns lies in the span of its
rows. Turned onto the rows' principal axes it has :math:`n` numbers a row instead of :math:`p`,
the same fit, and a fit on some of the rows is the same too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rotation", "rotate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rotation:
    r"""Rows turned onto their principal axes.

    Attributes
    ----------
    rows : (n_rows, n_axes) array
        The same inner products as the rows of the table, divided by ``length`` squared.
    back : (n_rows, n_axes) array or None
        Makes the axes of the rows; None where the table was narrow and is its own rotation.
    length : float
        Root mean square length of the table's rows; 1 where all are zero.
    """

    rows: Floats
    back: Floats | None
    length: float

    def to_columns(self, table: Floats, weights: Floats) -> Floats:
        """Return weights of the table's columns, given those of the rotated rows.

        Parameters
        ----------
        table : (n_rows, n_columns) array
            What was rotated.
        weights : (n_axes, n_outputs) array

        Returns
        -------
        (n_columns, n_outputs) array
            ``table @ result`` equals ``rows @ weights``.
        """
        back: Floats = weights / self.length
        return back if self.back is None else np.asarray(table.T @ (self.back @ back))


def rotate(table: Floats) -> Rotation:
    r"""Turn the rows of a table onto their principal axes, and scale them to mean square length 1.

    With :math:`X X^\top = U S^2 U^\top` the rows are :math:`U S`, and a model :math:`w` on them is
    :math:`X^\top U S^{-1} w` on the columns. The matrix of inner products costs a thousandth of
    the singular value decomposition of a wide table; axes below its precision (1e-8 of the
    longest) are left out.

    Parameters
    ----------
    table : (n_rows, n_columns) array
        Finite. One that is not wider than long is only scaled.

    Examples
    --------
    >>> table = np.random.default_rng(0).normal(size=(4, 1000))
    >>> turned = rotate(table)
    >>> np.allclose(turned.rows @ turned.rows.T * turned.length**2, table @ table.T)
    True
    >>> weights = np.ones((4, 1))
    >>> np.allclose(table @ turned.to_columns(table, weights), turned.rows @ weights)
    True
    """
    n_rows, n_columns = table.shape
    length = float(np.sqrt(np.mean(np.einsum("ij,ij->i", table, table)))) or 1.0
    if n_columns <= n_rows:
        return Rotation(table / length, None, length)
    values, vectors = np.linalg.eigh(table @ table.T)
    kept = values > n_rows * np.finfo(np.float64).eps * values[-1]
    kept[-1] = True
    lengths = np.sqrt(np.maximum(values[kept], 0.0))
    back = vectors[:, kept] / np.where(lengths > 0, lengths, 1.0)
    return Rotation(vectors[:, kept] * (lengths / length), back, length)
