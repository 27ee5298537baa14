"""A simulated FDG PET on a real T1w, for a participant that has none.

No open dataset has both a PET and a T1w image of one person, so the metabolic pipeline can be
tried on real anatomy only with PET that is made up. Everything that comes of it says so.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainnet import atlas as atlases
from brainnet import io
from brainnet.bids import Scan, derivative_path
from brainnet.imaging import transforms
from brainnet.simulate.disease import uptake_by_label
from brainnet.simulate.pet import regional_suvr, simulate_pet
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.settings import Settings

Paths = Mapping[str, Path]
#: whose regions the planted uptake is given for
UPTAKE_ATLAS = "DesikanKilliany"
TRACER = "18FFDG"


def run(t1w: Scan, anatomy: Paths, out_dir: Path, settings: Settings, steps: Steps) -> Scan:
    """Simulate a PET image for this T1w; return it as a scan of a raw dataset."""

    def name(suffix: str, extension: str, **entities: str) -> Path:
        raw = {key: value for key, value in t1w.entities.items() if key in ("sub", "ses")}
        return derivative_path(
            out_dir / "sourcedata" / "simulated", raw | {"trc": TRACER},
            datatype="pet", suffix=suffix, extension=extension, **entities,
        )  # fmt: skip

    outputs = {"pet": name("pet", ".nii.gz"), "truth": name("pet", ".tsv", desc="truth")}
    steps.run(
        "simulated PET",
        simulate,
        inputs={key: anatomy[key] for key in ("t1w", "mask", "from_mni", "GM", "WM", "CSF")},
        outputs=outputs,
        seed=settings.seed,
    )
    path = outputs["pet"]
    return Scan(
        path=path,
        subject=t1w.subject,
        session=t1w.session,
        entities={k: v for k, v in t1w.entities.items() if k in ("sub", "ses")} | {"trc": TRACER},
        suffix="pet",
        datatype="pet",
        metadata={"Simulated": True},
    )


def simulate(inputs: Paths, outputs: Paths, *, seed: int) -> dict[str, dict[str, Any]]:
    """Plant healthy regional FDG uptake in the T1w's own anatomy and scan it."""
    warnings.warn(
        "This participant has no PET image: one was SIMULATED on the real T1w from a healthy "
        "regional FDG uptake. Its metabolic network says nothing about this person.",
        io.DataWarning,
        stacklevel=2,
    )
    regions = atlases.load(UPTAKE_ATLAS)
    labels_img = transforms.apply_displacement(
        regions.labels_img, io.load_img(inputs["from_mni"], ndim=5), order=0
    )
    pet_img, truth = simulate_pet(
        io.load_img(inputs["t1w"]),
        labels_img,
        uptake_by_label("CN"),
        tissue_imgs={label: io.load_img(inputs[label]) for label in ("GM", "WM", "CSF")},
        seed=seed,
    )
    before, after = regional_suvr(
        truth, labels_img, regions.indices, reference_labels_img=labels_img
    )
    table = pd.DataFrame({"name": regions.names, "suvr": before, "suvr_blurred": after})
    io.save_img(pet_img, outputs["pet"])
    io.save_table(table, outputs["truth"])
    return {
        "pet": {
            "Simulated": True,
            "Units": "Bq/mL",
            "TracerName": "FDG",
            "TracerRadionuclide": "F18",
            "TruePETToT1w": np.asarray(truth.pet_to_t1w).tolist(),
        }
    }
