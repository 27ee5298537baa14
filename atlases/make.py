"""Make regions.tsv of the known atlases from their volumes: ``python -m brainnet.atlases.make``.

For maintainers: after a new atlas folder with its description.json, or a new version of a volume.
Names come from the list that accompanies the volume, sides and networks from the names, centroids
from the voxels. Writes regions.tsv, and n_regions and sha256 in description.json.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from brainnet import io
from brainnet.atlas import files
from brainnet.atlas import labels as label_rules

_NOT_NODES = {"csf", "white_matter", "other"}
_FREESURFER = {
    "white_matter": r"White-Matter|^CC_|WM-hypointensities|Optic-Chiasm",
    "csf": r"Vent$|Ventricle|^CSF$|choroid-plexus",
    "cerebellum": r"Cerebellum-Cortex",
    "subcortex": r"Thalamus|Caudate|Putamen|Pallidum|Hippocampus|Amygdala|Accumbens",
    "other": r"[-_][Uu]nknown$|VentralDC|vessel|Brain-Stem",
    "cortex": r"^ctx",
}
_KINDS = {
    "DesikanKilliany": _FREESURFER,
    "Destrieux": _FREESURFER,
    "AAL": {
        "cerebellum": r"^Cerebelum|^Vermis",
        "subcortex": r"^(Hippocampus|Amygdala|Caudate|Putamen|Pallidum|Thalamus)_",
        "cortex": r".",
    },
    "AICHA": {"subcortex": r"^N_", "cortex": r"."},
    "Schaefer": {"cortex": r"^7Networks", "subcortex": r"."},
}
_SIDES = {
    "L": r"^Left-|^ctx[-_]lh|_L$|-L$|-lh$|^7Networks_LH",
    "R": r"^Right-|^ctx[-_]rh|_R$|-R$|-rh$|^7Networks_RH",
}


def make(name: str) -> Path:
    """Write regions.tsv of one atlas, and what its description says of the volume."""
    facts = files.description(name)
    if facts["volume"]["kind"] == "nilearn":
        regions = _cortex_of(f"{name}TianS1")
    else:
        volume = files.find_volume(name)
        if volume is None:
            raise io.DataError(name, "the volume of this atlas is not here", files.remedy(facts))
        regions = _regions(name, volume)
        facts["sha256"] = io.sha256(volume)
    facts["n_regions"] = int(regions["node"].sum())
    io.save_json(facts, files.folder(name) / "description.json")
    return io.save_table(regions, files.folder(name) / "regions.tsv")


def _regions(name: str, volume: Path) -> pd.DataFrame:
    """Table of every label that the volume holds."""
    img = label_rules.read_labels(volume)
    listed = _names_beside(volume)
    found = set(np.unique(np.asarray(img.dataobj)).tolist()) - {0}
    present = [index for index in listed if index in found]
    kinds = next(table for key, table in _KINDS.items() if name.startswith(key))
    names = [listed[index] for index in present]
    regions = pd.DataFrame(
        {
            "index": present,
            "name": names,
            "hemisphere": [_first(_SIDES, each, "B") for each in names],
            "network": [_network(each) for each in names],
            "kind": [_first(kinds, each, "other") for each in names],
        }
    )
    regions["node"] = (~regions["kind"].isin(_NOT_NODES)).astype(int)
    places = label_rules.region_centroids(img, present)[:, :3].round(2)
    regions = regions.assign(**dict(zip("xyz", places.T, strict=True)))
    label_rules.check_labels(img, regions, volume, files.folder(name) / "regions.tsv")
    return regions


def _cortex_of(name: str) -> pd.DataFrame:
    """Table of the cortex of a cortex-and-subcortex atlas, numbered from 1."""
    regions = io.load_table(files.folder(name) / "regions.tsv")
    cortex = regions[regions["kind"] == "cortex"].reset_index(drop=True)
    return cortex.assign(index=np.arange(len(cortex)) + 1)


def _names_beside(volume: Path) -> dict[int, str]:
    """Names by label, from the list that lies beside the volume."""
    if volume.name.startswith("atlas_"):
        path = volume.with_name(volume.name.replace("atlas_", "labels_").split(".")[0] + ".csv")
        with path.open(encoding="utf-8", newline="") as lines:
            return {int(row["index"]): row["name"].strip() for row in csv.DictReader(lines)}
    path = volume.with_name(volume.name.replace("_2009cAsym_2mm.nii.gz", "_label.txt"))
    rows = path.read_text(encoding="utf-8").split("\n")
    pairs = zip(rows[::2], rows[1::2], strict=False)
    return {int(numbers.split()[0]): label.strip() for label, numbers in pairs if numbers.strip()}


def _network(name: str) -> str:
    found = re.match(r"7Networks_[LR]H_([A-Za-z]+)", name)
    return found[1] if found else "n/a"


def _first(patterns: dict[str, str], name: str, otherwise: str) -> str:
    return next((key for key, each in patterns.items() if re.search(each, name)), otherwise)


if __name__ == "__main__":
    for each in sys.argv[1:] or files.names():
        print(make(each))
