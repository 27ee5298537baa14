"""Values that flags take: numbers within bounds, amounts of memory."""

import re
from argparse import ArgumentTypeError

_UNITS = {"K": 1e-6, "M": 1e-3, "G": 1.0, "T": 1e3}
#: a bare number above this cannot be meant in GB
_MOST_GB = 4096.0


def gigabytes(text: str) -> float:
    """Return an amount of memory in GB.

    Examples
    --------
    >>> gigabytes("16"), gigabytes("8000MB"), gigabytes("0.5T")
    (16.0, 8.0, 500.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:([KMGT])i?B?)?\s*", text, re.IGNORECASE)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is not an amount of memory; write 16, 16G or 16000MB")
    unit = (found[2] or "").upper()
    amount = float(found[1]) * _UNITS[unit or "G"]
    if not unit and amount > _MOST_GB:
        raise ArgumentTypeError(f"{text} GB is more than any machine has; for MB write {text}MB")
    return _above_zero(amount, text)


def megabytes(text: str) -> float:
    """Return an amount of memory in GB, a bare number being MB."""
    return gigabytes(f"{text}M" if re.fullmatch(r"[\d.\s]+", text) else text)


def minutes(text: str) -> float:
    """Return a number above 0."""
    return _above_zero(_number(text, float), text)


def positive(text: str) -> int:
    """Return a whole number of at least 1."""
    return int(_at_least(1, text))


def count(text: str) -> int:
    """Return a whole number of at least 0."""
    return int(_at_least(0, text))


def seed(text: str) -> int:
    """Return the seed of a random generator: a whole number of at least 0."""
    return int(_at_least(0, text))


def splits(text: str) -> int:
    """Return a number of folds: at least 2."""
    return int(_at_least(2, text))


def _at_least(least: int, text: str) -> float:
    number = _number(text, int)
    if number < least:
        raise ArgumentTypeError(f"must be {least} or more; got {text}")
    return number


def _above_zero(number: float, text: str) -> float:
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"must be above 0; got {text}")
    return number


def _number(text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ArgumentTypeError(f"must be {what}; got {text!r}") from None
