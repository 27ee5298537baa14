"""One frozen table: what each modality is called in BIDS and which signal it carries.

The kind of signal, not the modality, selects the mathematics. Time series are correlated,
voxel samples are compared as distributions, and one value a region gives no network within a
subject, only a covariance over subjects. A new modality is a row here.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["MODALITIES", "Modality", "modality_of"]

Kind = Literal["timeseries", "samples", "values"]


@dataclass(frozen=True)
class Modality:
    """Describe one modality.

    Attributes
    ----------
    name : str
        Name used everywhere in this package and in its results.
    suffix, datatype : str
        BIDS suffix and data type (folder) of the scan.
    kind : {"timeseries", "samples", "values"}
        What a region carries: ``(n_timepoints,)`` numbers in time, one number a voxel, or one
        number.
    """

    name: str
    suffix: str
    datatype: str
    kind: Kind


_ROWS = (
    Modality(
        name="functional",
        suffix="bold",
        datatype="func",
        kind="timeseries",
    ),
    Modality(
        name="morphological",
        suffix="T1w",
        datatype="anat",
        kind="samples",
    ),
    Modality(
        name="metabolic",
        suffix="pet",
        datatype="pet",
        kind="samples",
    ),
)

MODALITIES: MappingProxyType[str, Modality] = MappingProxyType({row.name: row for row in _ROWS})
"""Every known modality by name, in the order in which results list them."""


def modality_of(suffix: str, datatype: str) -> Modality | None:
    """Return the modality of a BIDS scan, or None where this package has no row for it.

    Parameters
    ----------
    suffix, datatype : str
        BIDS suffix and data type.

    Returns
    -------
    Modality or None
        The row with both.

    Examples
    --------
    >>> modality_of("bold", "func").name
    'functional'
    >>> modality_of("phase1", "fmap") is None
    True
    """
    for row in _ROWS:
        if (row.suffix, row.datatype) == (suffix, datatype):
            return row
    return None
