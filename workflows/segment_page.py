"""What a segmentation wrote, to one HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from brainnet import io
from brainnet.report.segmentation import segmentation_page
from brainnet.workflows.engine.step import sidecar_path
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.segment_images import Image

Paths = Mapping[str, Path]
#: outputs that the page shows
_SHOWN = ("mask", "dseg", "GM", "WM", "CSF")


def run(image: Image, made: Paths, model: Paths, steps: Steps) -> Path:
    """Write the page of one image; return its path.

    Parameters
    ----------
    image : Image
        What was segmented.
    made : mapping
        The outputs of the step "brain segmentation".
    model : mapping
        Card and weights of the network.
    steps : Steps
        Runs the step, and knows what was warned of.
    """
    inputs = {key: made[key] for key in (*_SHOWN, "structures")}
    steps.run(
        "segmentation page",
        write,
        inputs={"image": image.source, "card": model["card"], **inputs}
        | {"record": sidecar_path(made["dseg"])},
        outputs={"page": image.page},
        parameters={
            "title": image.stem,
            "warnings": list(steps.warnings),
            "simulated": image.simulated,
        },
    )
    return image.page


def write(
    inputs: Paths, outputs: Paths, *, title: str, warnings: Sequence[str], simulated: bool
) -> None:
    """Draw every figure and save the page."""
    record = io.load_json(inputs["record"])
    known = record["Brainnet"]
    card = io.load_json(inputs["card"])
    html = segmentation_page(
        title,
        {key: io.load_img(inputs[key], ndim=3) for key in ("image", *_SHOWN)},
        io.load_table(inputs["structures"]),
        record,
        card=card,
        warnings=warnings,
        provenance={
            "image": inputs["image"].name,
            "sha256 of the image": known["Inputs"]["image"]["sha256"],
            "sha256 of the weights": known["Inputs"]["weights"]["sha256"],
            **{key: str(value) for key, value in known["Parameters"].items()},
            **known["Versions"],
        },
        simulated=simulated,
    )
    io.save_text(html, outputs["page"])
