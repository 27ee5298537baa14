"""The part of the gate that writes: whole files or none.

Writing goes to a temporary file in the same folder, is flushed to the disk, read back, compared
and renamed: a final name holds a whole file or none. A writer holds a lock on its temporary file
while it lives, so that what a killed one left can be told apart and removed.
"""

import errno
import fcntl
import json
import os
import re
import secrets
import stat
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from brainnet.io.files import DataError

_LEFTOVER = re.compile(r"\..+(\.\d+-[0-9a-f]{8}\.tmp|\.lock)", re.DOTALL)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # a file system without flock


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

    Raises
    ------
    DataError
        If the text holds a NUL or half a character (a lone surrogate), which `load_text` would
        refuse, or the disk refuses.
    """
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        what = f"the text cannot be UTF-8: half a character at place {error.start}"
        raise DataError(path, what, "Remove it") from error
    if b"\0" in content:
        raise DataError(path, "the text holds a NUL", "Remove it")
    return save_bytes(content, path)


def save_bytes(content: bytes, path: Path | str) -> Path:
    """Write bytes whole or not at all, and return the path.

    Parameters
    ----------
    content : bytes
        Compressed first where `path` ends in ``.gz`` (level 1, no name, no time: deterministic).
    path : path
        Where to; its folder is made where it is missing. A link of that name is replaced, and
        what it points to stays as it was.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    DataError
        If the disk refuses, what is read back differs, or a folder, pipe or device bears the
        name. No partial file is left, and an older file of that name stays as it was.
    """
    path = Path(path)
    if path.name.endswith(".gz"):
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        content = packer.compress(content) + packer.flush()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_replaceable(path)
        _replace(path, content)
        _sync_folder(path.parent)
    except OSError as error:
        what = f"could not be written ({error.strerror or error})"
        raise DataError(path, what, "Free or unlock space there, then run again") from error
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(path, f"no file can have this name ({error})", "Correct it") from error
    return path


def remove_leftovers(folder: Path) -> int:
    """Remove what killed writers and steps left in a folder, and return how many files that were.

    Temporary files (``.NAME.PID-HEX.tmp``) and lock files (``.NAME.lock``, empty) of the gate's
    own form go, unless a living process holds them. Folders below are left alone.

    Parameters
    ----------
    folder : Path
        A folder; one that does not exist holds nothing.

    Returns
    -------
    int
        Number of files removed.

    Raises
    ------
    DataError
        If the folder cannot be listed.

    Notes
    -----
    A file is removed while its lock is held, so a process that opens it at that moment sees, once
    it has the lock, that the name is gone, and makes a new one. On a file system where locks do
    not reach other machines, call this only where no other machine writes.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     (Path(name) / ".sub-01_T1w.nii.gz.4711-0a1b2c3d.tmp").touch()
    ...     remove_leftovers(Path(name))
    1
    """
    try:
        found = sorted(Path(folder).iterdir())
    except FileNotFoundError:
        return 0
    except OSError as error:
        what = f"cannot be listed ({error.strerror})"
        raise DataError(folder, what, "Check the folder and its rights") from error
    return sum(_remove_unheld(each) for each in found if _LEFTOVER.fullmatch(each.name))


def _remove_unheld(path: Path) -> bool:
    """Remove a leftover unless a living process holds it; return whether it was removed."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or (path.suffix == ".lock" and found.st_size):
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(found, path.lstat()):
            return False
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _check_replaceable(path: Path) -> None:
    """Raise where something that is neither file nor link bears the name."""
    with suppress(FileNotFoundError):
        kind = path.lstat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISLNK(kind)):
            name = "a folder" if stat.S_ISDIR(kind) else "a pipe or device"
            what = f"could not be written ({name} has this name)"
            raise DataError(path, what, "Give another name, or remove it")


def _replace(path: Path, content: bytes) -> None:
    """Write a locked temporary file, wait until it is on the disk, compare it and rename it."""
    temporary, handle = _held(path)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            if temporary.read_bytes() != content:
                what = "what was read back differs from what was written"
                raise DataError(path, what, "Check the disk, then run again")
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _held(path: Path) -> tuple[Path, int]:
    """Return a new temporary file beside a path, and its handle, which holds its lock."""
    while True:
        name = f".{path.name[:200]}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
        temporary = path.with_name(name)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(handle), temporary.lstat()):
                return temporary, handle
        except FileNotFoundError:
            pass  # taken for a leftover between its making and its lock: make another
        except OSError as error:
            if error.errno in NO_LOCKS:
                return temporary, handle
            temporary.unlink(missing_ok=True)
            os.close(handle)
            raise
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Wait until the folder's list of names is on the disk, where the file system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def _plain(value: Any) -> Any:
    """Return what JSON can hold for a numpy value or a path."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON: {value!r}.")
