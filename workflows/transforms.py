"""Rigid and affine matrices as ITK text files, which ANTs reads."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet import io

_RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_HEADER = "#Insight Transform File V1.0\n"


def save_matrices(matrices: ArrayLike, path: Path) -> Path:
    """Write pull matrices (RAS, mm) as one ITK affine transform each.

    Parameters
    ----------
    matrices : (4, 4) or (n_timepoints, 4, 4) array
        Each maps a point of the target world to the source world, in mm, RAS.
    path : pathlib.Path
        Ends in ``.txt``.

    Returns
    -------
    pathlib.Path
        ``path``, written through the gate. ANTs reads the file with one matrix as it is.
    """
    stack = np.asarray(matrices, dtype=np.float64).reshape(-1, 4, 4)
    blocks = [_block(i, _RAS_LPS @ matrix @ _RAS_LPS) for i, matrix in enumerate(stack)]
    return io.save_text(_HEADER + "".join(blocks), path)


def load_matrices(path: Path) -> NDArray[np.float64]:
    """Return the (n, 4, 4) pull matrices (RAS, mm) of an ITK text file.

    Raises
    ------
    brainnet.io.DataError
        If the file is no ITK text transform or holds no matrix.
    """
    lines = io.load_text(path).splitlines()
    rows = [_numbers(line) for line in lines if line.startswith("Parameters:")]
    centres = [_numbers(line) for line in lines if line.startswith("FixedParameters:")]
    if not rows or len(rows) != len(centres) or any(row.size != 12 for row in rows):
        raise io.DataError(
            path,
            "holds no ITK affine transform of 12 parameters",
            "Delete it and run the participant again.",
        )
    return np.stack([_matrix(row, centre) for row, centre in zip(rows, centres, strict=True)])


def _block(index: int, matrix: NDArray[np.float64]) -> str:
    numbers = _text([*matrix[:3, :3].ravel(), *matrix[:3, 3]])
    return (
        f"#Transform {index}\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {numbers}\nFixedParameters: 0 0 0\n"
    )


def _text(numbers: Iterable[float]) -> str:
    return " ".join(repr(float(number)) for number in numbers)


def _numbers(line: str) -> NDArray[np.float64]:
    return np.array(line.split(":", 1)[1].split(), dtype=np.float64)


def _matrix(row: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo ITK's centre of rotation and its LPS axes."""
    matrix = np.eye(4)
    matrix[:3, :3] = row[:9].reshape(3, 3)
    matrix[:3, 3] = row[9:] + centre - matrix[:3, :3] @ centre
    return np.asarray(_RAS_LPS @ matrix @ _RAS_LPS)
