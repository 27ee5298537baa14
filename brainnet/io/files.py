"""The part of the gate that reads bytes and text: whole files, of a bounded size, or an error."""

import hashlib
import json
import os
import re
import stat
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

MAX_TEXT_BYTES = 1 << 30  # unpacked; an hour of physiology at 1 kHz has a tenth of it
MAX_TABLE_BYTES = 1 << 28  # a cell of two letters takes 20 times its bytes in memory
MAX_JSON_BYTES = 1 << 26  # an empty list takes 30 times its bytes in memory
COPY_AGAIN = "Copy or convert the file again from its source"
_BLOCK = 1 << 20
_FIRST_BLOCK = 1 << 12
_MAX_DIGITS = 308  # of a whole number in JSON: what a float holds
_NOT_ZERO = re.compile(rb"[^\0]")
_SUSPECT = re.compile(r"\\u(0000|d[89a-f])", re.IGNORECASE)  # an escaped NUL or surrogate


class DataError(ValueError):
    """Say which file is at fault, what is wrong with it and what to do.

    Characters that cannot be printed, which a damaged or hostile file may hold, are escaped.

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
        self.path = Path(path)
        self.problem, self.remedy = (_printable(text).rstrip(".") for text in (problem, remedy))
        shown = _printable(str(self.path), keep="")
        super().__init__(f"{shown}: {self.problem}. {self.remedy}.")

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive the way back from a worker process."""
        return type(self), (self.path, self.problem, self.remedy)


class DataWarning(UserWarning):
    """Something about the data that the user should know but that does not stop the run."""


def warn(path: Path, problem: str, consequence: str) -> None:
    """Warn about a file in the same form as `DataError`."""
    text = _printable(f"{path.name}: {problem}. {consequence}.", keep="")
    warnings.warn(text, DataWarning, stacklevel=3)


def read(path: Path) -> bytes:
    """Return all bytes of a regular file that exists, is not empty and holds at most 1 GiB."""
    return bytes(read_buffer(path, limit=MAX_TEXT_BYTES))


def read_buffer(path: Path, *, limit: int) -> bytearray:
    """Return all bytes of a regular file that exists, is not empty and not beyond a limit.

    Whatever is not a regular file (folder, pipe, device) is refused without waiting for it.
    """
    with _opened(path) as handle:
        size = os.fstat(handle).st_size
        if size == 0:
            raise DataError(path, "the file is empty", COPY_AGAIN)
        if size > limit:
            raise too_large(path, f"the file has {size} bytes", limit)
        content = bytearray(size)
        with memoryview(content) as view, os.fdopen(handle, "rb", closefd=False) as stream:
            if stream.readinto(view) != size or stream.read(1):
                raise DataError(path, "the file changed while it was read", "Run again")
    return content


def gunzip(raw: bytes | bytearray, path: Path, *, limit: int) -> bytearray:
    """Return the whole content of a gzip stream, its CRC and length checked.

    Stops one byte after `limit`: the caller sees that there is more.
    """
    out, position = bytearray(), 0
    while position == 0 or _NOT_ZERO.search(raw, position):  # members; zero padding may follow
        member, step = zlib.decompressobj(wbits=31), _FIRST_BLOCK
        while not member.eof:
            chunk = member.unconsumed_tail or raw[position : position + step]
            position += 0 if member.unconsumed_tail else len(chunk)
            step = min(2 * step, _BLOCK)
            try:
                block = member.decompress(chunk, min(_BLOCK, limit + 1 - len(out)))
            except zlib.error as error:
                what = f"the gzip stream is damaged ({str(error).split(': ')[-1]})"
                raise DataError(path, what, COPY_AGAIN) from error
            if not block and not chunk and not member.eof:
                raise DataError(path, "the gzip stream stops early: the file is cut", COPY_AGAIN)
            out += block
            if len(out) > limit:
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
        Missing or empty file, not a regular file, over 64 MiB, not UTF-8, not JSON, or not an
        object. Also what Python would take in silence: a key that stands twice, NaN and infinity,
        a number too large for a float, a NUL or half a character in a text.
    """
    path = Path(path)
    text = load_text(path, limit=MAX_JSON_BYTES)
    try:
        with enough_memory(path):
            content = json.loads(
                text,
                object_pairs_hook=_object,
                parse_constant=_not_json,
                parse_float=_float,
                parse_int=_integer,
            )
    except RecursionError as error:
        raise DataError(path, "not valid JSON: nested too deep", "Correct it") from error
    except ValueError as error:
        raise DataError(path, f"not valid JSON: {error}", "Correct it at that place") from error
    if not isinstance(content, dict):
        what = f"holds a JSON {type(content).__name__}, not an object"
        raise DataError(path, what, "Write it as { ... }")
    if _SUSPECT.search(text) and not all(map(_sound, _texts(content))):
        what = "not valid JSON: a text holds a NUL (\\u0000) or half a character (\\ud800)"
        raise DataError(path, what, "Remove it")
    return content


def load_text(path: Path | str, *, limit: int = MAX_TEXT_BYTES) -> str:
    """Return the text of a file.

    Parameters
    ----------
    path : path
        UTF-8, plain or gzip (``.gz``). A byte order mark is dropped.
    limit : int, optional
        The most bytes that it may hold, unpacked; 1 GiB by default.

    Returns
    -------
    str
        Its content, line ends as they are.

    Raises
    ------
    DataError
        Missing or empty file, not a regular file, beyond the limit, gzip stream damaged, not
        UTF-8, or binary (holds a NUL).
    """
    path = Path(path)
    with enough_memory(path):
        content = read_buffer(path, limit=limit)
        if path.name.endswith(".gz"):
            content = gunzip(content, path, limit=limit)
            if len(content) > limit:
                raise too_large(path, "its content is larger", limit)
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise DataError(path, "not UTF-8 text but UTF-16", "Save it again as UTF-8")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            what = f"not UTF-8 text (byte {error.start})"
            raise DataError(path, what, "Save it again as UTF-8") from error
    if "\0" in text or text.startswith("\ufeff"):
        what = "a NUL" if "\0" in text else "a second byte order mark"
        raise DataError(path, f"not plain text: it holds {what}", "Save it again as UTF-8")
    return text


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
        If the file is missing, not a regular file or cannot be read.
    """
    path = Path(path)
    with _opened(path) as handle, os.fdopen(handle, "rb", closefd=False) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def too_large(path: Path, what: str, limit: int) -> DataError:
    """Return the error for content beyond the size that is read."""
    return DataError(path, f"{what}, beyond the {limit} that are read", "Split or reduce it")


@contextmanager
def enough_memory(path: Path) -> Iterator[None]:
    """Turn a lack of memory into the error of the file that asked for it."""
    try:
        yield
    except MemoryError as error:
        what = "its content does not fit into the memory that this process may have"
        raise DataError(path, what, "Give it more memory, or a smaller file") from error


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Yield the handle of a regular file; whatever the system refuses becomes a `DataError`."""
    try:  # without O_NONBLOCK a pipe would make us wait for its other end
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise DataError(path, f"no file can have this name ({error})", "Correct it") from error
    try:
        kind = os.fstat(handle).st_mode
        if not stat.S_ISREG(kind):
            name = "a folder" if stat.S_ISDIR(kind) else "a pipe or device"
            what = f"cannot be read (it is {name}, not a file)"
            raise DataError(path, what, "Check the path")
        yield handle
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(handle)


def _unreadable(path: Path, error: OSError) -> DataError:
    """Return the error for a file that cannot be read."""
    dangling = False
    with suppress(OSError):  # a name too long for the system, for one
        dangling = path.is_symlink() and not path.exists()
    if dangling:
        remedy = "Fetch the content first (for a DataLad dataset: datalad get)"
        return DataError(path, "a link whose target is not there", remedy)
    if isinstance(error, FileNotFoundError):
        return DataError(path, "the file does not exist", "Check the path")
    return DataError(path, f"cannot be read ({error.strerror})", "Check the file and its rights")


def _printable(text: str, *, keep: str = "\n\t") -> str:
    """Return text in which no character can steer a terminal or break its encoding."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode()
        for each in text
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, no key of which stands twice."""
    content = dict(pairs)
    if len(content) != len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return content


def _not_json(word: str) -> float:
    """Refuse NaN and infinity."""
    raise ValueError(f"{word} is not JSON (write null, or leave the field out)")


def _float(digits: str) -> float:
    """Return a JSON number that a float can hold."""
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {digits[:40]} is too large")
    return value


def _integer(digits: str) -> int:
    """Return a JSON integer that a float could hold too."""
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits is too large")
    return int(digits)


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, keys included."""
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            stack += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            stack += each


def _sound(text: str) -> bool:
    """Return whether a text can be written as UTF-8 and shown."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)
