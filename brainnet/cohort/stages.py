"""What each study calls a stage, and the order of the stages.

Sources of the codes
--------------------
ADNI: the diagnostic summary (``DXSUM``): ``DXCURREN`` (ADNI 1), ``DXCHANGE`` (ADNI GO and 2) and
``DIAGNOSIS`` (ADNI 3 and 4), after its data dictionary; ``DX`` and ``DX_bl`` of ADNIMERGE.
AIBL: ``DXCURREN`` of ``aibl_pdxconv``; only its codes 1 to 3 are stages. OASIS-3: the global
Clinical Dementia Rating (Morris 1993, Neurology 43:2412) and ``dx1`` of form B4, LaMontagne et
al. (2019), medRxiv 2019.12.13.19014902.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from brainnet.io import DataError

__all__ = ["CODES", "SCHEMES", "SEVERITY", "STAGES", "read_stages", "scheme_of", "stage_order"]

Scheme = Literal["three", "five"]

STAGES: Final = ("CN", "SMC", "EMCI", "LMCI", "AD")
"""From cognitively normal to Alzheimer's disease; scores that need an order use this one."""

SEVERITY: Final = ("CN", "SMC", "MCI", "EMCI", "LMCI", "sMCI", "pMCI", "AD")
"""Stages of every scheme, from healthy to ill."""

SCHEMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"three": ("CN", "MCI", "AD"), "five": STAGES}
)
"""The stages that a cohort is divided into."""

_RATING: Final = {"0": "CN", "0.5": "MCI", "1": "AD", "2": "AD", "3": "AD"}
_CURRENT: Final = {"1": "CN", "2": "MCI", "3": "AD"}
CODES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "DXCURREN": _CURRENT,
        "DIAGNOSIS": _CURRENT,
        "DXCHANGE": {
            "1": "CN", "7": "CN", "9": "CN", "2": "MCI", "4": "MCI", "8": "MCI",
            "3": "AD", "5": "AD", "6": "AD",
        },  # what the participant has changed *to*
        "CDR": _RATING,
        "CDRTOT": _RATING,
        "CDGLOBAL": _RATING,
        "CDRGLOB": _RATING,
    }
)  # fmt: skip
"""Stage of each number, by the column that holds it."""

_NAMES: Final = {
    "CN": (
        "cn", "nl", "nc", "hc", "cu", "normal", "control", "healthy control", "normal control",
        "cognitively normal", "cognitively unimpaired", "no dementia",
    ),
    "SMC": (
        "smc", "significant memory concern", "subjective memory concern",
        "subjective memory complaint",
    ),
    "EMCI": ("emci", "early mci", "early mild cognitive impairment"),
    "LMCI": ("lmci", "late mci", "late mild cognitive impairment"),
    "MCI": ("mci", "mild cognitive impairment"),
    "AD": (
        "ad", "dementia", "ad dementia", "dat", "alzheimer", "alzheimers", "alzheimer disease",
        "alzheimers disease", "alzheimer dementia", "alzheimers dementia",
    ),
}  # fmt: skip
_BY_NAME: Final = {name: stage for stage, names in _NAMES.items() for name in names}
_MISSING: Final = frozenset({"", "n a", "na", "nan", "none", "nat", "-4", "-1"})
_OF_THREE: Final = {"SMC": "CN", "EMCI": "MCI", "LMCI": "MCI"}
_NUMBER: Final = re.compile(r"[-+]?\d+(\.\d+)?")
_SPLITS: Final = (("MCI",), ("EMCI", "LMCI"), ("sMCI", "pMCI"))  # one way to divide MCI excludes
_OASIS_AD: Final = re.compile(r"(ad dem|dat)\b(?! cannot be primary)")


def read_stages(
    column: ArrayLike | pd.Series,
    *,
    scheme: Scheme = "three",
    coding: str | None = None,
    stages: Mapping[Any, str] | None = None,
    path: Path | str = "participants table",
) -> NDArray[np.str_]:
    """Return stages by one name each, from the column of a study.

    Parameters
    ----------
    column : (n,) array or Series
        Names (``CN``, ``NL``, ``SMC``, ``EMCI``, ``LMCI``, ``MCI``, ``AD``, ``Dementia`` and
        their long forms; ``MCI to Dementia`` is what it has changed to; of OASIS-3's ``dx1``
        'Cognitively normal', 'No dementia', and all that begin with 'AD dem' or 'DAT'), in any
        case and spacing, or the numbers of a coding. Missing are NaN, empty, ``n/a``, ``.``,
        and ADNI's and AIBL's -4 and -1.
    scheme : {"three", "five"}
        CN, MCI, AD (SMC is CN; EMCI and LMCI are MCI), or CN, SMC, EMCI, LMCI, AD, of which MCI
        as such is none.
    coding : str, optional
        Which of :data:`CODES` numbers are, in any case; default the Series' own name. The
        number 1 is CN as ``DXCURREN`` and AD as ``CDR``, so it is never guessed.
    stages : mapping, optional
        Stage of your own labels (or ``n/a`` to leave them out); goes before all else.
    path : path
        Where the column is from, for messages.

    Returns
    -------
    (n,) array of str
        A stage of the scheme, ``n/a`` where missing.

    Raises
    ------
    DataError
        A label or number that is no stage (all of them are named), or numbers without a coding.
    ValueError
        An unknown scheme or coding, or ``stages`` with a value that is not of the scheme.

    Notes
    -----
    A Clinical Dementia Rating says how severe, not why: 0.5 as MCI and 1 or more as AD is a
    common convention. OASIS-3's ``dx1`` has no MCI: 'uncertain dementia', '0.5 in memory only'
    and the like are refused until ``stages`` says what they are, as are vascular, Lewy body and
    frontotemporal dementia. In ADNI, 'Dementia' is that of Alzheimer's disease.

    Examples
    --------
    >>> read_stages(["NL", "mci to  Dementia", "LMCI", None]).tolist()
    ['CN', 'AD', 'MCI', 'n/a']
    >>> read_stages(pd.Series([0, 0.5, 2], name="CDRTOT")).tolist()
    ['CN', 'MCI', 'AD']
    >>> read_stages(["CN", "FTD"], stages={"FTD": "n/a"}).tolist()
    ['CN', 'n/a']
    """
    if scheme not in SCHEMES:
        raise ValueError(f"scheme must be 'three' or 'five'; got {scheme!r}.")
    values = list(np.asarray(column, dtype=object).ravel())
    codes = _codes(coding, getattr(column, "name", None))
    own = _own(stages, scheme)
    found = [_stage(each, own, codes, scheme) for each in values]
    unknown = Counter(str(each) for each, stage in zip(values, found, strict=True) if stage is None)
    if unknown:
        named = getattr(column, "name", None)
        raise _unknown(unknown, scheme, path if named is None else f"{path}, column {named}")
    return np.array([str(stage) for stage in found], dtype=str)


def scheme_of(
    column: pd.Series, *, scheme: Scheme | None = None, path: Path | str = "participants table"
) -> Scheme | None:
    """Return the scheme in which :func:`read_stages` reads a column; None where it stays as it is.

    Parameters
    ----------
    column : Series
        Its name says what numbers are, and whether it must hold stages.
    scheme : {"three", "five"}, optional
        The one that is wanted. By default labels stay as they are where all of them are of
        :data:`SEVERITY`, or they are classes of another kind; else it is ``five`` where each is
        one of its stages and early, late or memory concern is among them, and ``three``. Numbers
        are read only under a name of :data:`CODES` in that very spelling.
    path : path
        Where the column is from, for messages.

    Raises
    ------
    DataError
        A label that is no stage of the scheme wanted; by default only in a column called
        ``stage`` that has stages too, or one of :data:`CODES`.

    Examples
    --------
    >>> scheme_of(pd.Series(["NL", "MCI", "Dementia"])), scheme_of(pd.Series(["NL", "Early MCI"]))
    ('three', 'five')
    >>> scheme_of(pd.Series(["CN", "EMCI"])), scheme_of(pd.Series(["control", "autism"]))
    (None, None)
    """
    given = {word for word in map(_word, column) if word not in _MISSING}
    numbers = any(_NUMBER.fullmatch(word) for word in given)
    found = {_by_name(word) for word in given} - {None}
    coded = column.name in CODES
    as_it_is = {str(each) for each in column if _word(each) not in _MISSING} <= set(SEVERITY)
    if scheme is None and (as_it_is or (numbers and not coded)):
        return None
    tried: tuple[Scheme, ...] = (scheme,) if scheme else ("three",)
    if scheme is None and found & set(_OF_THREE):
        tried = ("five", "three")
    for each in tried:
        try:
            read_stages(column, scheme=each, path=path)
        except DataError as error:
            refused = error
        else:
            return each
    if scheme or coded or (column.name == "stage" and found):
        raise _unusable(refused, tried[-1], numbers=numbers)
    return None


def _unusable(error: DataError, scheme: Scheme, *, numbers: bool) -> DataError:
    """Say of labels that are no stage what to do to the table."""
    remedy = (
        f"Write {', '.join(SCHEMES[scheme])} in place of each in a copy of the table (n/a leaves a "
        f"participant out), or name all by {', '.join(SEVERITY)}, which stay as they are"
    )
    if numbers:
        remedy += f"; numbers are known in columns called {', '.join(CODES)}"
    if scheme == "five":
        remedy += "; MCI that is neither early nor late needs the scheme 'three'"
    return DataError(error.path, error.problem, remedy)


def stage_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels from healthy to ill; by name where they are no stages.

    Parameters
    ----------
    labels : iterable of str
        Stages: of CN, SMC, AD and one division of the impaired: MCI, or EMCI and LMCI, or sMCI
        (stable) and pMCI (progressive). If any label is none of these, there is no order to
        know, and all are sorted by name.

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        If MCI is divided in two ways at once.

    Examples
    --------
    >>> stage_order(["AD", "LMCI", "CN", "AD"]), stage_order(["pMCI", "sMCI"])
    (('CN', 'LMCI', 'AD'), ('sMCI', 'pMCI'))
    >>> stage_order(["control", "autism"])
    ('autism', 'control')
    """
    distinct = sorted({str(each) for each in labels})
    if not set(distinct) <= set(SEVERITY):
        return tuple(distinct)
    used = [split for split in _SPLITS if set(split) & set(distinct)]
    if len(used) > 1:
        mixed = ", ".join(name for split in used for name in split if name in distinct)
        raise ValueError(
            f"labels must divide MCI in one way; got {mixed}. "
            "Bring them to one scheme first: cohort.stages.read_stages(column, scheme='three')."
        )
    return tuple(sorted(distinct, key=SEVERITY.index))


def _codes(coding: str | None, name: object) -> Mapping[str, str]:
    """Stage of each number; none where no coding is known."""
    if coding is not None and coding.upper() not in CODES:
        raise ValueError(f"coding must be one of {', '.join(CODES)}; got {coding!r}.")
    return CODES.get(str(name).upper() if coding is None else coding.upper(), {})


def _own(stages: Mapping[Any, str] | None, scheme: Scheme) -> dict[str, str]:
    """The user's labels, spelled as they are compared."""
    allowed = (*SCHEMES[scheme], "n/a")
    wrong = [f"{key!r}: {value!r}" for key, value in (stages or {}).items() if value not in allowed]
    if wrong:
        raise ValueError(
            f"stages must map to {', '.join(allowed)} in scheme {scheme!r}; got {', '.join(wrong)}."
        )
    return {_word(key): value for key, value in (stages or {}).items()}


def _word(value: object) -> str:
    """Spelling without case, punctuation and doubled spaces; numbers in their shortest form."""
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return ""
    if isinstance(value, (bool, np.bool_)):
        return str(value)
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        return f"{float(text):g}"
    return re.sub(r"[^a-z0-9.]+", " ", text.casefold().replace("'", "")).strip(" .")


def _stage(
    value: object, own: Mapping[str, str], codes: Mapping[str, str], scheme: Scheme
) -> str | None:
    """Stage of one value, ``n/a`` if missing, None if it is none of the scheme."""
    word = _word(value)
    if word in own:
        return own[word]
    if word in _MISSING:
        return "n/a"
    stage = codes.get(word) if _NUMBER.fullmatch(word) else _by_name(word)
    if scheme == "three" and stage is not None:
        stage = _OF_THREE.get(stage, stage)
    return stage if stage in SCHEMES[scheme] else None


def _by_name(word: str) -> str | None:
    """Stage of a name; of a change, what it changed to."""
    plain = re.sub(r"^(stable|conversion|reversion) ", "", word).rsplit(" to ", 1)[-1]
    if plain in _BY_NAME:
        return _BY_NAME[plain]
    return "AD" if _OASIS_AD.match(word) else None


def _unknown(unknown: Counter[str], scheme: Scheme, path: Path | str) -> DataError:
    """Say which labels are no stage, and what to do."""
    shown = ", ".join(f"{label!r} ({count} rows)" for label, count in sorted(unknown.items()))
    remedy = f'Say what each is, for example stages={{"{min(unknown)}": "AD"}}, or "n/a"'
    if any(_NUMBER.fullmatch(_word(label)) for label in unknown):
        remedy += f"; numbers need coding, one of {', '.join(CODES)}"
    if scheme == "five" and any(_by_name(_word(label)) == "MCI" for label in unknown):
        remedy += "; MCI that is neither early nor late needs scheme='three'"
    return DataError(path, f"holds what is no stage of scheme {scheme!r}: {shown}", remedy)
