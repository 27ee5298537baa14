"""Folders for temporary files, one a run.

Each is marked as ours, and locked while its run lives, so that what killed runs left can be told
apart and removed.
"""

import fcntl
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from brainnet.io import DataError

_PREFIX = "brainnet-"
#: file that makes a folder one of ours, and whose lock says that its run lives
_MARK = ".brainnet-scratch"


@contextmanager
def temporary_folder(work_dir: Path | None = None) -> Iterator[Path]:
    """Give a run a folder of its own for temporary files, and remove it afterwards.

    Those that killed runs of this machine left beside it are removed first.

    Parameters
    ----------
    work_dir : pathlib.Path, optional
        Where it is made; default the system's folder for temporary files.

    Raises
    ------
    brainnet.io.DataError
        If it cannot be made.
    """
    try:
        if work_dir is not None:
            work_dir.mkdir(parents=True, exist_ok=True)
        prefix = f"{_PREFIX}{platform.node() or 'host'}-"
        folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=work_dir))
        handle = _marked(folder)
    except OSError as error:
        where = work_dir or Path(tempfile.gettempdir())
        what = f"cannot hold temporary files ({error.strerror})"
        raise DataError(where, what, "Give a folder that you may write to, -w") from error
    try:
        with suppress(DataError):
            clean(folder.parent, prefix=prefix)
        yield folder
    finally:
        os.close(handle)  # first: NFS keeps the name of what is open
        shutil.rmtree(folder, ignore_errors=True)


def _marked(folder: Path) -> int:
    """Put the mark into a folder, locked from its first moment; return its handle."""
    handle = os.open(folder / f"{_MARK}.new", os.O_RDWR | os.O_CREAT, 0o600)
    with suppress(OSError):  # a disk without locks
        fcntl.flock(handle, fcntl.LOCK_EX)
    (folder / f"{_MARK}.new").rename(folder / _MARK)
    return handle


def clean(work_dir: Path, *, prefix: str = _PREFIX) -> list[Path]:
    """Remove the folders that killed runs left in a work folder; return which.

    Only folders that `temporary_folder` made and whose run no longer lives are touched. Where the
    disk's locks do not reach other machines, call it only while none of them has a run there.

    Parameters
    ----------
    work_dir : pathlib.Path
        One that does not exist holds nothing.
    prefix : str
        How the folders' names begin; default those of every machine.

    Raises
    ------
    brainnet.io.DataError
        If it cannot be listed.
    """
    try:
        found = sorted(each for each in work_dir.iterdir() if each.name.startswith(prefix))
    except FileNotFoundError:
        return []
    except OSError as error:
        what = f"cannot be listed ({error.strerror})"
        raise DataError(work_dir, what, "Check the folder and its rights") from error
    return [folder for folder in found if _remove_unheld(folder)]


def _remove_unheld(folder: Path) -> bool:
    """Remove a folder of ours unless its run lives; return whether it was removed."""
    if folder.is_symlink():
        return False
    try:
        handle = os.open(folder / _MARK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)  # its owner is gone, and nobody takes it up again
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
