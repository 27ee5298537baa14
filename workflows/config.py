"""A run's options in a TOML file, by the names of their flags: read, checked and written."""

import difflib
import json
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from brainnet import __version__, io
from brainnet.io import DataError

_HEAD = """\
# The options of the last run of brainnet {} here. To run it again, with other participants too:
#   brainnet BIDS OUT participant --config-file {}
"""
#: options that say who is run and how this once, not how results are made
_OF_ONE_RUN = frozenset(
    {"participant-label", "config-file", "dry-run", "reports-only", "clean-workdir", "verbose"}
)
_PLAIN = (str, int, float, bool)


def load(path: Path | str, known: Collection[str]) -> dict[str, Any]:
    """Return the options in a TOML file.

    Parameters
    ----------
    path : path
        ``name = value`` lines, names as the flags without ``--`` (``_`` is taken for ``-``);
        values text, numbers, true or false, or lists of them.
    known : collection of str
        Names that there are.

    Returns
    -------
    dict
        By name, with ``-``.

    Raises
    ------
    brainnet.io.DataError
        If the file is not TOML, or has an unknown name (the closest known one is named), a name
        twice, or a value that no flag takes.
    """
    path = Path(path)
    try:
        content = tomllib.loads(io.load_text(path))
    except tomllib.TOMLDecodeError as error:
        raise DataError(path, f"is not TOML: {error}", "Write lines such as nprocs = 4") from error
    options: dict[str, Any] = {}
    for key, value in content.items():
        name = key.replace("_", "-")
        if name not in known:
            raise DataError(path, f"has no option {key!r} to set", closest(name, known))
        if name in options:
            raise DataError(path, f"sets {name!r} twice", "Keep one of them")
        _check(name, value, path)
        options[name] = value
    return options


def closest(name: str, known: Collection[str], *, prefix: str = "") -> str:
    """Return a remedy that names the closest of the known names, or all where none is close.

    Examples
    --------
    >>> closest("nproc", ["nprocs", "mem"])
    'Did you mean nprocs?'
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    if near:
        return f"Did you mean {prefix}{near[0]}?"
    return f"There are {', '.join(prefix + each for each in sorted(known))}"


def _check(name: str, value: Any, path: Path) -> None:
    """Raise for a value that no flag takes."""
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, _PLAIN) for each in values):
        what = f"{name!r} holds {value!r:.80}"
        raise DataError(path, what, "Give text, a number, true or false, or a list of them")


def arguments(options: Mapping[str, Any]) -> list[str]:
    """Return options as they would be typed.

    Examples
    --------
    >>> arguments({"nprocs": 4, "task-id": ["rest", "nback"], "sloppy": True, "dry-run": False})
    ['--nprocs=4', '--task-id', 'rest', 'nback', '--sloppy']
    """
    typed: list[str] = []
    for name, value in options.items():
        if value is True:
            typed.append(f"--{name}")
        elif isinstance(value, list):
            typed += [f"--{name}", *map(str, value)]
        elif value is not False:
            typed.append(f"--{name}={value}")
    return typed


def save(options: Mapping[str, Any], path: Path) -> None:
    """Write options that make these results again; nothing where the file has them already.

    Parameters
    ----------
    options : mapping
        By name; None is left out, and so is what concerns one run only, such as its participants.
    path : pathlib.Path
        The TOML file.
    """
    lines = [f"{name} = {_toml(value)}" for name, value in sorted(options.items())
             if value is not None and value != [] and name not in _OF_ONE_RUN]  # fmt: skip
    text = _HEAD.format(__version__, path.name) + "\n".join(lines) + "\n"
    if not (path.is_file() and path.read_bytes() == text.encode()):
        io.save_text(text, path)


def _toml(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
