"""A participant's log: opened for more, by whoever has something to say."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

_FORMAT = logging.Formatter("%(asctime)s %(levelname)s %(message)s")


def open_log(path: Path) -> FileIO:
    """Open a log for appending, its folder made; never through a link, which may lead anywhere.

    Raises
    ------
    OSError
        If the disk refuses, or the name is that of a link.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    return FileIO(os.open(path, flags, 0o666), "a")


@contextmanager
def logged(stream: FileIO) -> Iterator[None]:
    """Write what brainnet logs, from INFO on, to a stream as well."""
    log = logging.getLogger("brainnet")
    handler = _Handler(stream)
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


class _Handler(logging.Handler):
    """Writes records to a stream, and forgets those that a full disk does not take."""

    def __init__(self, stream: FileIO) -> None:
        super().__init__()
        self._stream = stream
        self.setFormatter(_FORMAT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        with suppress(OSError, ValueError):
            self._stream.write(f"{self.format(record)}\n".encode(errors="replace"))
