"""The part of the gate that moves bytes: read whole files, write whole files, or raise.

Writing goes to a temporary file in the same folder, is flushed to the disk, read back, compared
and renamed: a final name holds a whole file or none.
"""

import hashlib
import json
import os
import secrets
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

COPY_AGAIN = "Copy or convert the file again from its source"
_BLOCK = 1 << 22


class DataError(ValueError):
    """Say which file is at fault, what is wrong with it and what to do.

    Parameters
    ----------
    path : Path or str
        The file or folder.
    problem : str
        What is wrong, with the value found.
    remedy : str
        What the user can do about it.

    Examples
    --------
    >>> str(DataError("sub-01_T1w.nii.gz", "every voxel is 0", "Export the series again"))
    'sub-01_T1w.nii.gz: every voxel is 0. Export the series again.'
    """

    def __init__(self, path: Path | str, problem: str, remedy: str) -> None:
        self.path, self.problem, self.remedy = Path(path), problem.rstrip("."), remedy.rstrip(".")
        super().__init__(f"{self.path}: {self.problem}. {self.remedy}.")

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive the way back from a worker process."""
        return type(self), (self.path, self.problem, self.remedy)


class DataWarning(UserWarning):
    """Something about the data that the user should know but that does not stop the run."""


def warn(path: Path, problem: str, consequence: str) -> None:
    """Warn about a file in the same form as `DataError`."""
    warnings.warn(f"{path.name}: {problem}. {consequence}.", DataWarning, stacklevel=3)


def gunzip(raw: bytes, path: Path, *, limit: int | None = None) -> bytearray:
    """Return the whole content of a gzip stream, its CRC and length checked.

    Stops soon after `limit` bytes (where given): the caller sees that it got more.
    """
    out, position = bytearray(), 0
    while position == 0 or raw[position:].strip(b"\0"):  # members; zero padding may follow
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            chunk = member.unconsumed_tail or raw[position : position + _BLOCK]
            position += 0 if member.unconsumed_tail else len(chunk)
            try:
                block = member.decompress(chunk, _BLOCK)
            except zlib.error as error:
                what = f"the gzip stream is damaged ({str(error).split(': ')[-1]})"
                raise DataError(path, what, COPY_AGAIN) from error
            if not block and not chunk and not member.eof:
                raise DataError(path, "the gzip stream stops early: the file is cut", COPY_AGAIN)
            out += block
            if limit is not None and len(out) > limit:
                return out
        position -= len(member.unused_data)
    return out


def load_json(path: Path | str) -> dict[str, Any]:
    """Return the object in a JSON file.

    Parameters
    ----------
    path : path
        UTF-8 text that holds one JSON object.

    Returns
    -------
    dict
        Its content.

    Raises
    ------
    DataError
        Missing or empty file, not UTF-8, not JSON, or not an object.
    """
    path = Path(path)
    try:
        content = json.loads(load_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(path, f"not valid JSON: {error}", "Correct it at that place") from error
    if not isinstance(content, dict):
        what = f"holds a JSON {type(content).__name__}, not an object"
        raise DataError(path, what, "Write it as { ... }")
    return content


def load_text(path: Path | str) -> str:
    """Return the text of a file.

    Parameters
    ----------
    path : path
        UTF-8, plain or gzip (``.gz``). A byte order mark is dropped.

    Returns
    -------
    str
        Its content, line ends as they are.

    Raises
    ------
    DataError
        Missing or empty file, gzip stream damaged, or not UTF-8.
    """
    path = Path(path)
    raw = read(path)
    content = gunzip(raw, path) if path.name.endswith(".gz") else raw
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"not UTF-8 text (byte {error.start})"
        raise DataError(path, what, "Save it again as UTF-8") from error


def save_json(obj: dict[str, Any], path: Path | str) -> Path:
    """Write a JSON object whole or not at all, and return its path.

    Keys keep their order; numpy numbers and arrays and paths are accepted.

    Parameters
    ----------
    obj : dict
        Without NaN or infinity, which JSON does not have.
    path : path
        Where to.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ValueError, TypeError
        If `obj` cannot be written as JSON.
    """
    content = json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    return save_text(content + "\n", path)


def save_text(text: str, path: Path | str) -> Path:
    """Write UTF-8 text whole or not at all, and return its path.

    Parameters
    ----------
    text : str
        Written as it is, line ends included.
    path : path
        Where to; compressed where it ends in ``.gz``.

    Returns
    -------
    Path
        `path`.
    """
    return save_bytes(text.encode(), path)


def save_bytes(content: bytes, path: Path | str) -> Path:
    """Write bytes whole or not at all, and return the path.

    Parameters
    ----------
    content : bytes
        Compressed first where `path` ends in ``.gz`` (level 1, no name, no time: deterministic).
    path : path
        Where to; its folder is made where it is missing.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    DataError
        If the disk refuses, or what is read back differs. No partial file is left, and an older
        file of that name stays as it was.
    """
    path = Path(path)
    if path.name.endswith(".gz"):
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        content = packer.compress(content) + packer.flush()
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(content, temporary)
        if temporary.read_bytes() != content:
            what = "what was read back differs from what was written"
            raise DataError(path, what, "Check the disk, then run again")
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        what = f"could not be written ({error.strerror or error})"
        raise DataError(path, what, "Free or unlock space there, then run again") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    str
        The digest.

    Raises
    ------
    DataError
        If the file is missing or cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def read(path: Path) -> bytes:
    """Return all bytes of a file that exists and is not empty."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not raw:
        raise DataError(path, "the file is empty", COPY_AGAIN)
    return raw


def _unreadable(path: Path, error: OSError) -> DataError:
    """Return the error for a file that cannot be read."""
    if path.is_symlink() and not path.exists():
        remedy = "Fetch the content first (for a DataLad dataset: datalad get)"
        return DataError(path, "a link whose target is not there", remedy)
    if isinstance(error, FileNotFoundError):
        return DataError(path, "the file does not exist", "Check the path")
    return DataError(path, f"cannot be read ({error.strerror})", "Check the file and its rights")


def _plain(value: Any) -> Any:
    """Return what JSON can hold for a numpy value or a path."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON: {value!r}.")


def _write(content: bytes, path: Path) -> None:
    """Write a new file and wait until it is on the disk."""
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Wait until the folder's list of names is on the disk, where the file system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
