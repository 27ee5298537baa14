"""Rigid and affine matrices as ITK files, text or binary, which ANTs reads."""

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet import io
from brainnet.io.files import read

_RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_HEADER = "#Insight Transform File V1.0\n"
_AGAIN = "Delete it and run the participant again."
#: Variables of a binary file that hold 12 parameters: rows of the matrix, then the translation.
_AFFINE = tuple(
    f"{kind}_{precision}_3_3"
    for kind in ("AffineTransform", "MatrixOffsetTransformBase")
    for precision in ("double", "float")
)


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
    try:
        rows = [_numbers(line) for line in lines if line.startswith("Parameters:")]
        centres = [_numbers(line) for line in lines if line.startswith("FixedParameters:")]
    except ValueError as error:
        raise io.DataError(path, f"holds no numbers ({error})", _AGAIN) from error
    whole = all(row.size == 12 for row in rows) and all(each.size == 3 for each in centres)
    if not rows or len(rows) != len(centres) or not whole:
        raise io.DataError(
            path,
            "holds no ITK affine transform of 12 parameters",
            _AGAIN,
        )
    return np.stack([_matrix(row, centre) for row, centre in zip(rows, centres, strict=True)])


def save_affine(matrix: ArrayLike, path: Path) -> Path:
    """Write one pull matrix (RAS, mm) as ITK affine transform.

    Parameters
    ----------
    matrix : (4, 4) array
        Maps a point of the target world to the source world, in mm, RAS. Finite, invertible.
    path : pathlib.Path
        Ends in ``.mat`` (binary, as antsRegistration's 0GenericAffine.mat) or ``.txt``.

    Returns
    -------
    pathlib.Path
        ``path``, written through the gate.

    Raises
    ------
    ValueError
        If ``matrix`` is not a finite, invertible affine matrix, or the suffix is another.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_affine(np.diag([1.0, 2.0, 1.0, 1.0]), Path(folder) / "xfm.mat")
    ...     load_affine(path).diagonal().tolist()
    [1.0, 2.0, 1.0, 1.0]
    """
    given = _checked(np.asarray(matrix, dtype=np.float64))
    if path.suffix == ".txt":
        return save_matrices(given, path)
    if path.suffix != ".mat":
        raise ValueError(f"path must end in .mat or .txt; got {path.name}. Change the name.")
    lps = _RAS_LPS @ given @ _RAS_LPS
    parameters = np.concatenate([lps[:3, :3].ravel(), lps[:3, 3]])
    return io.save_bytes(_variable(_AFFINE[0], parameters) + _variable("fixed", np.zeros(3)), path)


def load_affine(path: Path) -> NDArray[np.float64]:
    """Return the one pull matrix (RAS, mm) of an ITK affine transform file.

    Parameters
    ----------
    path : pathlib.Path
        A ``.mat`` file (MATLAB 4, single or double precision, any centre of rotation), which ITK
        writes, or a text file with one transform.

    Returns
    -------
    (4, 4) array
        Maps a point of the target world to the source world, in mm, RAS.

    Raises
    ------
    brainnet.io.DataError
        If the file is damaged or holds anything but one affine transform with finite numbers.
    """
    if path.suffix == ".mat":
        matrix = _binary_matrix(path)
    else:
        matrices = load_matrices(path)
        if len(matrices) > 1:
            what = f"holds {len(matrices)} transforms where one is expected"
            raise io.DataError(path, what, "Read a series with load_matrices")
        matrix = matrices[0]
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise io.DataError(path, "its matrix is not finite or not invertible", _AGAIN)
    return matrix


def _checked(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a finite, invertible affine matrix, or raise."""
    if matrix.shape != (4, 4):
        raise ValueError(
            f"matrix must have shape (4, 4); got {matrix.shape}. Use save_matrices for a series."
        )
    if not np.isfinite(matrix).all() or not np.allclose(matrix[3], [0, 0, 0, 1]):
        raise ValueError(
            "matrix must be a finite affine matrix whose last row is 0 0 0 1; "
            f"got {matrix.tolist()}. Check the registration."
        )
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise ValueError("matrix must be invertible; got determinant 0. Check the registration.")
    return matrix


def _variable(name: str, numbers: NDArray[np.float64]) -> bytes:
    """Return one column of doubles as MATLAB 4 stores it: type, sizes, name, values."""
    label = name.encode() + b"\0"
    head = struct.pack("<5i", 0, len(numbers), 1, 0, len(label))
    return head + label + numbers.astype("<f8").tobytes()


def _binary_matrix(path: Path) -> NDArray[np.float64]:
    """Return the matrix in a MATLAB 4 file that ITK or we wrote."""
    variables = _variables(read(path), path)
    rows = [variables[name] for name in _AFFINE if name in variables]
    centre = variables.get("fixed")
    if len(rows) != 1 or centre is None or rows[0].size != 12 or centre.size != 3:
        found = ", ".join(f"{name} ({row.size})" for name, row in variables.items())
        what = f"holds {found or 'nothing'}, no affine transform of 12 parameters and its centre"
        raise io.DataError(path, what, "Write the transform as AffineTransform, or run again")
    return _matrix(rows[0], centre)


def _variables(content: bytes, path: Path) -> dict[str, NDArray[np.float64]]:
    """Return the real numbers in a little-endian MATLAB 4 file, by name."""
    out: dict[str, NDArray[np.float64]] = {}
    position = 0
    while position < len(content):
        head = content[position : position + 20].ljust(20, b"\xff")
        kind, rows, columns, imaginary, length = struct.unpack("<5i", head)
        code = {0: "<f8", 10: "<f4"}.get(kind)
        if code is None or imaginary or min(rows, columns, length) < 1:
            raise io.DataError(path, f"is no ITK transform (at byte {position})", _AGAIN)
        start = position + 20 + length
        position = start + rows * columns * int(code[-1])
        if position > len(content):
            raise io.DataError(path, "is no whole ITK transform: it stops early", _AGAIN)
        name = content[start - length : start].rstrip(b"\0").decode("ascii", "replace")
        out[name] = np.frombuffer(content[start:position], dtype=code).astype(np.float64)
    return out


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
