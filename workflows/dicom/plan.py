"""Which BIDS name each DICOM series gets, and what a dry run prints of it."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from brainnet import bids
from brainnet.workflows.dicom.map import DicomMap, Rule
from brainnet.workflows.dicom.scan import Found, Series

_BY_ECHO: Final = {"magnitude": ("magnitude1", "magnitude2"), "phase": ("phase1", "phase2")}
_GUESSES: Final = (  # words of a description, in lower case; the BIDS name to propose
    (("mprage", "mp-rage", "spgr", "bravo", "t1w", "t1_", "tfl"), "anat", "T1w", ""),
    (("flair",), "anat", "FLAIR", ""),
    (("field", "fmap", "gre_fm"), "fmap", "magnitude", ""),
    (("se_ap", "_ap_se", "sefm_ap", "topup_ap"), "fmap", "epi", ', dir = "AP"'),
    (("se_pa", "_pa_se", "sefm_pa", "topup_pa"), "fmap", "epi", ', dir = "PA"'),
    (("bold", "fmri", "rest", "ep2d"), "func", "bold", ', task = "rest"'),
    (("t2",), "anat", "T2w", ""),
)
_PET_FIELDS: Final = """metadata = { InjectedMass = "n/a", InjectedMassUnits = "n/a", \
SpecificRadioactivity = "n/a", SpecificRadioactivityUnits = "n/a", \
ModeOfAdministration = "bolus", AcquisitionMode = "list mode" }
"""


@dataclass(frozen=True)
class Item:
    """One series and the image that it becomes.

    Attributes
    ----------
    series : Series
        Where it comes from.
    rule : Rule or None
        The one that fits, None where none does.
    label : str
        The participant, without ``sub-``.
    entities : dict
        Of the name, participant and session among them.
    suffix : str
        Of the name.
    problem : str
        Why it cannot be converted, ``""`` if it can.
    """

    series: Series
    rule: Rule | None
    label: str = ""
    entities: dict[str, str] | None = None
    suffix: str = ""
    problem: str = ""

    @property
    def wanted(self) -> bool:
        """Whether the mapping asks for this series."""
        return self.rule is not None and bool(self.rule.datatype)

    @property
    def name(self) -> Path:
        """Path of the image in the dataset."""
        assert self.rule is not None
        return bids.derivative_path(
            Path(), self.entities or {}, suffix=self.suffix, extension=".nii.gz",
            datatype=self.rule.datatype,
        )  # fmt: skip


def plan(series: Sequence[Series], mapping: DicomMap) -> list[Item]:
    """Return every series with the name it gets, or why it gets none.

    Parameters
    ----------
    series : sequence of Series
        From `scan.scan`.
    mapping : DicomMap
        Labels, sessions and rules. The first rule that fits wins.

    Returns
    -------
    list of Item
        In the same order. Several acquisitions of one name are ``run-1``, ``run-2`` in the order
        of acquisition; several echoes ``echo-1``, ``echo-2`` (``magnitude1``, ``magnitude2``).
    """
    items = [_item(one, mapping) for one in series]
    if mapping.keeps_ids:
        items = _without_shared_labels(items)
    items = _with_sessions(items, mapping)
    groups: dict[tuple, list[int]] = defaultdict(list)
    for number, item in enumerate(items):
        if item.wanted and not item.problem:
            key = (item.rule.datatype, item.suffix, *sorted((item.entities or {}).items()))  # type: ignore[union-attr]
            groups[key].append(number)
    for numbers in groups.values():
        for number, item in zip(numbers, _apart([items[n] for n in numbers]), strict=True):
            items[number] = item
    return items


def _item(series: Series, mapping: DicomMap) -> Item:
    """Return a series with its rule and participant."""
    fitting = (rule for rule in mapping.rules if rule.fits(series))
    rule = next(fitting, None) if series.is_image else None
    item = Item(series, rule)
    if not item.wanted or rule is None:
        return item
    if len(series.patients) > 1:
        return replace(item, problem="its files bear more than one patient ID: sort them first")
    label = mapping.label(series.patients[0])
    if label is None:
        who = repr(series.patients[0]) if series.patients[0] else "an empty patient ID"
        return replace(item, problem=f"{mapping.path.name} gives no label for {who}")
    return replace(item, label=label, suffix=rule.suffix, entities={"sub": label} | rule.entities)


def _without_shared_labels(items: Sequence[Item]) -> list[Item]:
    """Return the items, those of a label that several patient IDs make with that problem."""
    patients: dict[str, set[str]] = defaultdict(set)
    for item in items:
        patients[item.label].add(item.series.patients[0])
    what = "several patient IDs make one label: give each its own in [participants]"
    shared = {label for label, ids in patients.items() if label and len(ids) > 1}
    return [replace(one, problem=what) if one.label in shared else one for one in items]


def _with_sessions(items: Sequence[Item], mapping: DicomMap) -> list[Item]:
    """Return the items with the session that their day makes."""
    days: dict[str, set[str]] = defaultdict(set)
    for item in items:
        if item.label and "ses" not in (item.entities or {}):
            days[item.label].add(item.series.date)
    return [_with_session(item, sorted(days.get(item.label, ())), mapping) for item in items]


def _with_session(item: Item, days: list[str], mapping: DicomMap) -> Item:
    """Return an item with its session, given the participant's days."""
    if not item.label or item.entities is None or "ses" in item.entities:
        return item
    if mapping.sessions == "date" and not all(days):
        return replace(item, problem="a series without a date: sessions cannot go by date")
    if mapping.sessions == "date":
        visit = days.index(item.series.date)
        named = mapping.session_labels[visit : visit + 1]
        return replace(
            item, entities=item.entities | {"ses": named[0] if named else f"{visit + 1:02d}"}
        )
    if mapping.sessions is None and len(days) > 1:
        what = f"sub-{item.label} was scanned on {len(days)} days"
        return replace(item, problem=f'{what}: say [sessions] by = "date", or "none"')
    return item


def _apart(items: Sequence[Item]) -> list[Item]:
    """Return items of one name with runs and echoes that tell them apart."""
    acquired: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        acquired[item.series.uid].append(item)
    order = sorted(acquired, key=lambda uid: min(item.series.order for item in acquired[uid]))
    if len(order) > 1 and "run" in (items[0].entities or {}):
        what = f"{len(order)} series get this name and run: leave run out to number them"
        return [replace(item, problem=what) for item in items]
    out = []
    for item in items:
        echoes = sorted(acquired[item.series.uid], key=lambda one: one.series.echo_time)
        run = {"run": str(order.index(item.series.uid) + 1)} if len(order) > 1 else {}
        numbered = replace(item, entities=(item.entities or {}) | run)
        out.append(_with_echo(numbered, echoes) if len(echoes) > 1 else numbered)
    return out


def _with_echo(item: Item, echoes: Sequence[Item]) -> Item:
    """Return one of several images of a series, named by its echo."""
    times = [one.series.echo_time for one in echoes]
    if len({one.series.part for one in echoes}) > 1 or len(set(times)) < len(times):
        what = "magnitude and phase of a series get one name: tell them apart by ImageType"
        return replace(item, problem=what)
    number = times.index(item.series.echo_time)
    if item.suffix in _BY_ECHO and len(times) == 2:
        return replace(item, suffix=_BY_ECHO[item.suffix][number])
    if (item.rule and item.rule.datatype not in ("anat", "func")) or "echo" in (
        item.entities or {}
    ):
        return replace(item, problem=f"{len(times)} echoes get one name: match them by EchoTime")
    return replace(item, entities=(item.entities or {}) | {"echo": str(number + 1)})


def table(items: Sequence[Item]) -> str:
    """Return the series as text, a line each: participant, series, files, and what it becomes.

    Parameters
    ----------
    items : sequence of Item
        From `plan`.

    Returns
    -------
    str
        Lines of equal columns.
    """
    rows = [("participant", "series", "kind", "files", "becomes")]
    for item in items:
        series = item.series
        kind = "/".join(filter(None, (series.text("Modality"), series.part)))
        who = f"sub-{item.label}" if item.label else f"patient {' and '.join(series.patients)}"
        title = f"{series.text('SeriesNumber') or '?'} {series.text('SeriesDescription')}"
        echo = f" (TE {series.echo_time:g} ms)" if series.echo_time else ""
        rows.append((who, title + echo, kind, str(len(series.paths)), fate(item)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(row[:4], widths, strict=True)), row[4]])
        for row in rows
    )


def fate(item: Item) -> str:
    """Return what becomes of a series, in words."""
    if item.problem:
        return f"CANNOT BE CONVERTED: {item.problem}"
    if item.wanted:
        return item.name.as_posix()
    if not item.series.is_image:
        return "left out: not an image"
    return "left out: the mapping says so" if item.rule else "left out: no [[series]] fits"


def template(found: Found) -> str:
    """Return a mapping file to start from, for the series of a folder.

    Parameters
    ----------
    found : Found
        From `scan.scan`.

    Returns
    -------
    str
        TOML. Names are guessed from descriptions: they are to be checked.
    """
    patients = sorted({patient for series in found.series for patient in series.patients})
    days = {(series.patients, series.date) for series in found.series if series.is_image}
    lines = [
        "# Check every name below. This file holds patient IDs: keep it out of the dataset.",
        '[dataset]\nName = "My study"\n\n[participants]  # patient ID = label',
        *(f'{_quoted(patient)} = "{n:02d}"' for n, patient in enumerate(patients, start=1)),
    ]
    if len(days) > len(patients):
        lines.append('\n[sessions]  # somebody came more than once\nby = "date"')
    return "\n".join([*lines, *_rules(found.series)]) + "\n"


def _rules(series: Sequence[Series]) -> Iterator[str]:
    """Yield one [[series]] for each kind of series."""
    seen = set()
    for one in sorted(
        series, key=lambda one: not one.part
    ):  # phase first: a rule for it is narrower
        kind = (one.text("SeriesDescription"), one.text("Modality"), one.part)
        if one.is_image and kind not in seen:
            seen.add(kind)
            yield _guess(one, *kind)


def _guess(series: Series, description: str, modality: str, part: str) -> str:
    """Return the [[series]] proposed for one kind."""
    pattern = description.replace("[", "[[]")  # a bracket that stands for itself
    match = f"SeriesDescription = {_quoted(pattern)}, " if description else ""
    head = f"\n[[series]]\nmatch = {{ {match}Modality = {_quoted(modality)}"
    head += ', ImageType = ["P", "PHASE"]' if part == "phase" else ""
    if part == "localizer":
        return f'{head}, ImageType = "LOCALIZER" }}\nleave_out = true'
    if modality in ("PT", "CT"):
        name = {"PT": "pet", "CT": "ct"}[modality]
        extra = "\n" + _PET_FIELDS.rstrip() if modality == "PT" else ""
        return f'{head} }}\nbids = {{ datatype = "{name}", suffix = "{name}" }}{extra}'
    for words, datatype, suffix, more in _GUESSES:
        if any(word in description.lower() for word in words):
            suffix = "phasediff" if part == "phase" and datatype == "fmap" else suffix
            return f'{head} }}\nbids = {{ datatype = "{datatype}", suffix = "{suffix}"{more} }}'
    return f"{head} }}\nleave_out = true  # not recognised: give it a bids name if it is wanted"


def _quoted(text: str) -> str:
    """Return text as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
