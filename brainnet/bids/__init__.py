"""Find the scans of a BIDS dataset, with their metadata, and name what is made of them.

The index reads names and JSON sidecars only, so it is fast, and follows the standard's fixed
folder layout (``sub-*/[ses-*/]datatype/``), so ``derivatives``, ``sourcedata``, ``code`` and
hidden folders are never entered, and a link that leads in circles cannot trap it.

bids2table was measured and set aside: it turns ``run-01`` into ``run-1``, returns an empty table
with a log line for a dataset whose folder name holds a dot, skips damaged sidecars silently,
caches folders for the life of the process, and reads no sidecar unless asked file by file.
``tests/benchmarks/scale.py`` times both on 24,000 files; the tests compare what they find.
"""

from brainnet.bids.dataset import index, participants
from brainnet.bids.derivatives import (
    check_inside,
    derivative_path,
    uri,
    write_dataset_description,
)
from brainnet.bids.filters import Filters, filter_scans, load_filters
from brainnet.bids.names import ENTITY_ORDER
from brainnet.bids.scans import Scan, by_subject, select

__all__ = [
    "ENTITY_ORDER",
    "Filters",
    "Scan",
    "by_subject",
    "check_inside",
    "derivative_path",
    "filter_scans",
    "index",
    "load_filters",
    "participants",
    "select",
    "uri",
    "write_dataset_description",
]
