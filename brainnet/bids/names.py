"""The grammar of BIDS file names."""

import re
from collections.abc import Mapping

ENTITIES = {
    "subject": "sub", "template": "tpl", "session": "ses", "cohort": "cohort", "sample": "sample",
    "task": "task", "tracksys": "tracksys", "acquisition": "acq", "nucleus": "nuc",
    "volume": "voi", "ceagent": "ce", "tracer": "trc", "stain": "stain", "reconstruction": "rec",
    "direction": "dir", "run": "run", "modality": "mod", "echo": "echo", "flip": "flip",
    "inversion": "inv", "mtransfer": "mt", "part": "part", "processing": "proc",
    "hemisphere": "hemi", "space": "space", "from": "from", "to": "to", "mode": "mode",
    "split": "split", "recording": "recording", "chunk": "chunk", "atlas": "atlas",
    "segmentation": "seg", "scale": "scale", "resolution": "res", "density": "den",
    "label": "label", "statistic": "stat", "description": "desc",
}  # fmt: skip
"""BIDS entities, long name to short, in the order in which a file name lists them."""

ENTITY_ORDER = tuple(ENTITIES.values())
"""Short names of the entities in that order."""

INDEX_ENTITIES = frozenset({"run", "echo", "flip", "inv", "split", "chunk"})
"""Entities whose value is a number: ``run-1`` and ``run-01`` are the same run."""

LABEL = re.compile(r"[a-zA-Z0-9+]+")
"""What the value of an entity may be."""


def parse(stem: str) -> tuple[dict[str, str], str]:
    """Return entities and suffix of a file name without its extension; ``""`` if malformed."""
    *parts, suffix = stem.split("_")
    pairs = [part.partition("-") for part in parts]
    entities = {key: value for key, _, value in pairs}
    sound = all(key and LABEL.fullmatch(value) for key, value in entities.items())
    if not sound or len(entities) != len(pairs) or not LABEL.fullmatch(suffix):
        return {}, ""
    return entities, suffix


def check_entities(entities: Mapping[str, str | None]) -> None:
    """Raise for an entity that BIDS does not have, or a value it does not allow."""
    for key, value in entities.items():
        if key not in ENTITY_ORDER:
            raise ValueError(f"entities must be among {', '.join(ENTITY_ORDER)}; got {key!r}.")
        if value is not None and not LABEL.fullmatch(value):
            raise ValueError(f"{key} must be letters and digits; got {value!r}.")


def shown(name: str) -> str:
    r"""Return a name as one line of printable characters, whatever somebody has put into it.

    Line ends, control characters and marks that turn the direction of writing are written out,
    so that a name can neither forge a line of a log nor hide a part of itself.

    Examples
    --------
    >>> shown("sub-01"), shown("sub-\n01")
    ('sub-01', 'sub-\\n01')
    """
    text = name if len(name) <= 200 else name[:200] + "..."
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
