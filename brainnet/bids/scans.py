"""One image of a dataset, and the choice among many."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brainnet.bids.names import check_entities
from brainnet.io import DataError
from brainnet.modalities import MODALITIES


@dataclass(frozen=True)
class Scan:
    """Describe one image of a BIDS dataset.

    Attributes
    ----------
    path : Path
        The image.
    subject : str
        Label without ``sub-`` of the participant in whose folder the image lies.
    session : str or None
        Label without ``ses-``.
    entities : dict
        Every entity of the file name in its order, by short name, values as written (``01``).
    suffix, datatype : str
        For example ``bold`` and ``func``. Both empty for a participant's folder that cannot be
        read: ``path`` is the folder then.
    metadata : dict
        Content of the JSON sidecars that apply, the closest one winning field by field.
    problem : DataError or None
        Why the image must not be used: its sidecar is damaged or contradicts another, its name
        belongs to another folder. `check` raises it; whoever processes the participant must.
    """

    path: Path
    subject: str
    session: str | None
    entities: dict[str, str]
    suffix: str
    datatype: str
    metadata: dict[str, Any] = field(default_factory=dict)
    problem: DataError | None = None

    def check(self) -> None:
        """Raise the scan's problem, if it has one."""
        if self.problem is not None:
            raise self.problem


def by_subject(scans: Iterable[Scan]) -> dict[str, list[Scan]]:
    """Return the scans of each participant, in their order; one pass over all of them.

    Parameters
    ----------
    scans : iterable of Scan
        From `brainnet.bids.index`.

    Returns
    -------
    dict of str to list of Scan
        By label without ``sub-``. A participant without images is not in it.
    """
    found: dict[str, list[Scan]] = {}
    for scan in scans:
        found.setdefault(scan.subject, []).append(scan)
    return found


def select(
    scans: Sequence[Scan],
    *,
    subject: str | None = None,
    session: str | None = None,
    modality: str | None = None,
    suffix: str | None = None,
    datatype: str | None = None,
    **entities: str | None,
) -> list[Scan]:
    """Return the scans that match every condition given, in their order.

    Parameters
    ----------
    scans : sequence of Scan
        From `brainnet.bids.index`.
    subject, session : str, optional
        Labels, with or without ``sub-`` and ``ses-``.
    modality : {"functional", "morphological", "metabolic"}, optional
        Stands for its suffix and data type.
    suffix, datatype : str, optional
        BIDS suffix and data type.
    **entities : str, optional
        Further entities by short name, for example ``task="rest"``, and ``space``, ``desc``,
        ``label``, ``res`` in derivatives. None: any.

    Returns
    -------
    list of Scan
        Empty where nothing matches.

    Raises
    ------
    ValueError
        If the modality or an entity is unknown.
    """
    if modality is not None and modality not in MODALITIES:
        raise ValueError(f"modality must be one of {list(MODALITIES)}; got {modality!r}.")
    check_entities(entities)
    wanted = {key: value for key, value in entities.items() if value is not None}
    who = None if subject is None else subject.removeprefix("sub-")
    when = None if session is None else session.removeprefix("ses-")
    row = None if modality is None else MODALITIES[modality]
    return [
        scan
        for scan in scans
        if who in (None, scan.subject)
        and when in (None, scan.session)
        and all(scan.entities.get(key) == value for key, value in wanted.items())
        and suffix in (None, scan.suffix)
        and datatype in (None, scan.datatype)
        and (row is None or (scan.suffix, scan.datatype) == (row.suffix, row.datatype))
    ]
