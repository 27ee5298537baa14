"""The grammar of BIDS file names."""

import re
from collections.abc import Mapping

ENTITY_ORDER = (
    "sub", "ses", "task", "acq", "ce", "trc", "rec", "dir", "run", "mod", "echo", "part", "hemi",
    "space", "from", "to", "mode", "atlas", "seg", "scale", "res", "den", "label", "stat", "desc",
)  # fmt: skip
"""BIDS entities in the order in which a file name lists them."""

LABEL = re.compile(r"[a-zA-Z0-9+]+")


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
