"""A run's reference image to the participant's T1w image: one step for BOLD and PET."""

from collections.abc import Mapping
from pathlib import Path

from brainnet import io
from brainnet.imaging import register
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.settings import Registration, Settings
from brainnet.workflows.transforms import save_matrices

Paths = Mapping[str, Path]


def coregister(
    reference: Path,
    output: Path,
    anatomy: Paths,
    settings: Settings,
    steps: Steps,
    *,
    name: str,
) -> None:
    """Run the step that finds the rigid transform from T1w to ``reference``."""
    steps.run(
        name,
        align,
        inputs={"reference": reference, "t1w": anatomy["t1w"], "mask": anatomy["mask"]},
        outputs={"matrix": output},
        parameters={"engine": settings.registration},
    )


def align(inputs: Paths, outputs: Paths, *, engine: Registration) -> None:
    """Register by mutual information within the brain."""
    found = register.register_affine(
        io.load_img(inputs["t1w"]),
        io.load_img(inputs["reference"]),
        kind="rigid",
        fixed_mask_img=io.load_img(inputs["mask"]),
        engine=engine,
    )
    save_matrices(found.matrix, outputs["matrix"])
