"""The sections of a TOML file, each value held against one of its kind."""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from brainnet import io
from brainnet.io import DataError
from brainnet.workflows.config import closest

__all__ = ["checked", "made", "read_sections"]

_KINDS = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "a table"}


def read_sections(path: Path, known: Collection[str]) -> dict[str, Any]:
    """Return the sections of a TOML file.

    Parameters
    ----------
    path : Path
    known : collection of str
        Sections that there are.

    Raises
    ------
    brainnet.io.DataError
        Not TOML; a value outside of any section; a section that there is not.
    """
    try:
        content = tomllib.loads(io.load_text(path))
    except tomllib.TOMLDecodeError as error:
        raise DataError(path, f"is not TOML: {error}", "Correct it at that place") from error
    for name, held in content.items():
        if not isinstance(held, dict):
            remedy = f"Put it under one of [{'], ['.join(known)}]"
            raise DataError(path, f"{name} = {held!r:.40} stands in no section", remedy)
        if name not in known:
            raise DataError(path, f"has no section [{name}]", closest(name, known))
    return content


def checked(
    path: Path, section: str, given: Mapping[str, Any], known: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a section's values after holding each against one of its kind.

    Parameters
    ----------
    path : Path
        The file, for the error.
    section : str
    given, known : mapping
        Values by name, and some value of the right kind for each name that there is.

    Raises
    ------
    brainnet.io.DataError
        A name that there is not; a value of another kind.
    """
    for name, value in given.items():
        if name not in known:
            raise DataError(path, f"[{section}] has no {name!r}", closest(name, known))
        kind = type(known[name])
        fits = isinstance(value, (int, float) if kind is float else kind)
        if not fits or isinstance(value, bool):
            what = f"[{section}] {name} is {value!r:.40}"
            raise DataError(path, what, f"Give {_KINDS[kind]}")
    return dict(given)


def made(path: Path, section: str, content: Mapping[str, Any], kind: type[Any]) -> Any:
    """Return a dataclass filled from a section; what it refuses is an error of the file.

    Parameters
    ----------
    path : Path
        The file, for the error.
    section : str
    content : mapping
        Sections by name.
    kind : type
        A dataclass whose fields all have defaults.

    Raises
    ------
    brainnet.io.DataError
        As :func:`checked`; a value that the dataclass refuses.
    """
    plain = kind()
    values = {each.name: getattr(plain, each.name) for each in fields(kind)}
    tuples = {name for name, value in values.items() if isinstance(value, tuple)}
    known = {name: list(v) if name in tuples else v for name, v in values.items()}
    given = checked(path, section, content.get(section, {}), known)
    try:
        return kind(**{name: tuple(v) if name in tuples else v for name, v in given.items()})
    except (ValueError, TypeError) as error:
        raise DataError(path, f"[{section}] {error}", f"Correct it in [{section}]") from error
