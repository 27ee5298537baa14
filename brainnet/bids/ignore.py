"""What a dataset's ``.bidsignore`` leaves out, in the syntax of ``.gitignore``."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from pathspec import GitIgnoreSpec

from brainnet import io
from brainnet.bids.names import shown
from brainnet.io import DataError

_MOST_WILDCARDS = 8  # a path part with many of them can take a matcher years


class Ignored:
    """The patterns of one dataset.

    Parameters
    ----------
    root : Path
        Top of the dataset; its ``.bidsignore`` may be missing or empty.
    but : sequence of str
        Names of folders that are not left out all the same.

    Raises
    ------
    DataError
        If the file cannot be read or a line is no pattern.
    """

    def __init__(self, root: Path, *, but: Sequence[str] = ()) -> None:
        path = root / ".bidsignore"
        self._spec, self._but = None, frozenset(but)
        if path.is_file() and (state := path.stat()).st_size > 0:
            version = (state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size)
            self._spec = _read(path, version)

    def __bool__(self) -> bool:
        """Say whether there is anything to look for."""
        return self._spec is not None

    def __contains__(self, inside: str) -> bool:
        """Say whether a path inside the dataset, ``/`` between parts, is left out.

        That of a folder ends in ``/``.
        """
        if self._spec is None or not self._but.isdisjoint(inside.split("/")):
            return False
        return self._spec.match_file(inside)


@lru_cache(maxsize=16)
def _read(path: Path, version: tuple[int, ...]) -> GitIgnoreSpec | None:
    """Return the patterns of a file, compiled once for each version of it."""
    return _compile(io.load_text(path), path)


def _compile(text: str, path: Path) -> GitIgnoreSpec | None:
    """Return the patterns; None where every line is empty or a comment."""
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if any(part.count("*") > _MOST_WILDCARDS for part in line.split("/")):
            what = f"line {number} has too many wildcards: {shown(line)!r}"
            raise DataError(path, what, "Split it into simpler patterns")
    try:
        spec = GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        what = f"a line is not a pattern of .gitignore ({shown(str(error))})"
        raise DataError(path, what, "Correct or remove it") from error
    return spec if any(pattern.include is not None for pattern in spec.patterns) else None
