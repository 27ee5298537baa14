"""Made-up derivatives: networks of a few people with the records of how they were made."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainnet import atlas as atlases
from brainnet import io
from brainnet.bids import derivative_path

ATLAS = "DesikanKilliany"
NAMES = atlases.load(ATLAS).names
#: modality to data type, kind of edges, suffix and `stat` of the regional value
MADE = {
    "functional": ("func", "pearsoncorrelation", "bold", ""),
    "morphological": ("anat", "jssimilarity", "morph", "volume"),
    "metabolic": ("pet", "jssimilarity", "pet", "mean"),
}


def name(out: Path, label: str, modality: str, suffix: str, **entities: Any) -> Path:
    """Name a table of a participant's modality."""
    datatype = MADE[modality][0]
    own = {"task": "rest"} if datatype == "func" else {"trc": "FDG"} if datatype == "pet" else {}
    session = {"ses": entities.pop("ses")} if entities.get("ses") else {}
    return derivative_path(
        out, {"sub": label, **session, **own}, datatype=datatype, suffix=suffix, extension=".tsv",
        **{"seg": ATLAS} | entities,
    )  # fmt: skip


def network_path(out: Path, label: str, modality: str, **entities: Any) -> Path:
    return name(out, label, modality, "relmat", **{"stat": MADE[modality][1]} | entities)


def put(
    out: Path,
    label: str,
    seed: int,
    *,
    modalities: tuple[str, ...] = tuple(MADE),
    shift: float = 0.0,
    quality: str = "standard",
    **entities: Any,
) -> None:
    """Write a participant's networks and regional tables, and records that lead to a scan."""
    for modality in modalities:
        _, _, suffix, value = MADE[modality]
        rng = np.random.default_rng([seed, list(MADE).index(modality)])
        weights = np.triu(rng.uniform(0.1, 0.6, (84, 84)).round(3) + shift, 1)
        path = network_path(out, label, modality, **entities)
        io.save_matrix(weights + weights.T, NAMES, path)
        kept = {key: each for key, each in entities.items() if key != "stat"}
        coverage = name(out, label, modality, suffix, stat="coverage", **kept)
        io.save_table(pd.DataFrame({"name": NAMES, "coverage": 1.0}), coverage)
        moved = out / f"sub-{label}" / "anat" / "moved.nii.gz"
        record(moved, "registration to MNI", {"quality": quality}, {"t1w": "bids:raw:sub/T1w.nii"})
        record(
            path,
            f"{modality} network",
            {"kind": "js", "simulated": False},
            {"moved": uri(moved, out)},
        )
        record(coverage, "regions", {"atlas": ATLAS}, {"moved": uri(moved, out)})
        if value:
            table = name(out, label, modality, suffix, stat=value, **kept)
            values = rng.uniform(1, 2, len(NAMES)).round(3)
            io.save_table(pd.DataFrame({"name": NAMES, "value": values, "coverage": 1.0}), table)
            record(table, "regions", {"atlas": ATLAS}, {"moved": uri(moved, out)})


def uri(path: Path, out: Path) -> str:
    return f"bids::{path.relative_to(out).as_posix()}"


def record(path: Path, step: str, parameters: dict[str, Any], inputs: dict[str, str]) -> Path:
    """Write the sidecar that a step leaves beside an output."""
    own = {key: {"path": where, "sha256": f"hash of {where}"} for key, where in inputs.items()}
    content = {"Step": step, "Parameters": parameters, "Inputs": own}
    sidecar = path.with_name(path.name.partition(".")[0] + ".json")
    return io.save_json({"Brainnet": content}, sidecar)


def describe(out: Path, title: str = "brainnet results") -> Path:
    """Make a folder a derivatives dataset of this package."""
    content = {
        "Name": title, "BIDSVersion": "1.10.0", "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "brainnet"}],
    }  # fmt: skip
    return io.save_json(content, out / "dataset_description.json")
