"""What a reading wrote, to one HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from brainnet import io
from brainnet.report.haemorrhage import haemorrhage_page
from brainnet.workflows.engine.step import sidecar_path
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.segment_images import Image

Paths = Mapping[str, Path]


def run(image: Image, path: Path, made: Paths, model: Paths, steps: Steps) -> Path:
    """Write the page of one scan; return its path.

    Parameters
    ----------
    image : Image
        What was read.
    path : pathlib.Path
        Where the page goes.
    made : mapping
        The outputs of the step "haemorrhage reading".
    model : mapping
        Card and weights of the network.
    steps : Steps
        Runs the step, and knows what was warned of.
    """
    steps.run(
        "haemorrhage page",
        write,
        inputs={"image": image.source, "card": model["card"], "labels": made["dseg"],
                "probability": made["probability"], "record": sidecar_path(made["dseg"])},
        outputs={"page": path},
        parameters={"title": image.stem, "warnings": list(steps.warnings),
                    "simulated": image.simulated},
    )  # fmt: skip
    return path


def write(
    inputs: Paths, outputs: Paths, *, title: str, warnings: Sequence[str], simulated: bool
) -> None:
    """Draw the figures and save the page."""
    from brainnet.imaging.hounsfield import check_ct

    record = io.load_json(inputs["record"])
    known = record["Brainnet"]
    html = haemorrhage_page(
        title,
        {
            "image": check_ct(io.load_img(inputs["image"])).img,
            "labels": io.load_img(inputs["labels"], ndim=3),
            "probability": io.load_img(inputs["probability"], ndim=3),
        },
        record["Findings"],
        card=io.load_json(inputs["card"]),
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
