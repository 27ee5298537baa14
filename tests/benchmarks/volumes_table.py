"""Write the volumes that segmentations are held against: those of 20 adults' label maps.

    python tests/benchmarks/volumes_table.py [--labelmaps ../shared/data/labelmaps]

Writes `brainnet/models/voxel/tables/brain_volumes.tsv`. The exit status is 1 if any of the 20 has
a structure that is implausible beside the other 19.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from brainnet import io
from brainnet.models.voxel import quality
from brainnet.models.voxel.labels import MAX_SOURCE, LabelTable, load_labels
from brainnet.workflows.train_config import load_label_map

TABLE = Path(quality.__file__).parent / "tables" / "brain_volumes.tsv"


def main(argv: list[str] | None = None) -> int:
    """Write the table; return 1 where it would refuse one of those that made it."""
    parser = argparse.ArgumentParser(description="volumes that segmentations are held against")
    parser.add_argument("--labelmaps", type=Path, default=Path("../shared/data/labelmaps"))
    parser.add_argument("--out", type=Path, default=TABLE)
    options = parser.parse_args(argv)
    table = load_labels("brain")
    paths = sorted(options.labelmaps.glob("*_dseg.nii.gz"))
    volumes = pd.DataFrame({path.name: _volumes(path, table) for path in paths})
    io.save_table(_ranges(volumes, table), options.out)
    strange = 0
    for name in volumes:
        others = _ranges(volumes.drop(columns=name), table).set_index("index")
        quality._reference = lambda others=others: others  # type: ignore[assignment]
        found = quality._strange(table.regions.assign(volume_mm3=volumes[name]))
        print(f"{name}: {', '.join(found) or 'plausible'}")
        strange += bool(found)
    return min(1, strange)


def _volumes(path: Path, table: LabelTable) -> "pd.Series[float]":
    """Return the volume (mm3) of each row of a table in one label map at 1 mm."""
    counts = np.bincount(load_label_map(path, table).ravel(), minlength=MAX_SOURCE)
    sums = np.bincount(table.index_of, weights=counts)
    return pd.Series(sums[table.regions["index"]])


def _ranges(volumes: pd.DataFrame, table: LabelTable) -> pd.DataFrame:
    by_row = volumes.to_numpy()
    ends = {
        "low_mm3": by_row.min(axis=1),
        "median_mm3": np.median(by_row, axis=1),
        "high_mm3": by_row.max(axis=1),
    }
    return table.regions[["index", "name"]].assign(
        **{name: np.rint(each).astype(int) for name, each in ends.items()}
    )


if __name__ == "__main__":
    sys.exit(main())
