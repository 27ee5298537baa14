"""Brain, tissue and structures of a participant's T1w image by the network of `segment`."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brainnet import io
from brainnet.bids import Scan
from brainnet.workflows import precomputed
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.segment import (
    SEG,
    TISSUES,
    Options,
    model_files,
    runner_of,
    write_brain,
)

__all__ = ["SEG", "find", "segment_network"]

Paths = Mapping[str, Path]


def find(scan: Scan, given: precomputed.Given, paths: Paths, steps: Steps) -> None:
    """Run the step that labels structures, and writes what was not given of brain and tissue.

    Parameters
    ----------
    scan : brainnet.bids.Scan
        The T1w image.
    given : precomputed.Given
        Brain mask and tissue that somebody else has made.
    paths : mapping
        Results of the anatomical pipeline: ``structures_dseg``, ``structures``, ``mask`` and
        tissues.
    steps : Steps
        Runs the step.
    """
    outputs = {"dseg": paths["structures_dseg"], "structures": paths["structures"]}
    if given.mask is None:
        outputs["mask"] = paths["mask"]
    if given.tissue is None:
        outputs |= {label: paths[label] for label in TISSUES}
    model = model_files()
    steps.run(
        "brain segmentation",
        segment_network,
        inputs={"image": scan.path, **model}
        | ({} if given.mask is None else {"mask": paths["mask"]}),
        outputs=outputs,
        parameters=Options().parameters() | {"runner": runner_of(model)},
    )


def segment_network(inputs: Paths, outputs: Paths, **parameters: Any) -> dict[str, Any]:
    """Segment, and say where the result should not be trusted."""
    known = write_brain(inputs, outputs, **parameters)
    quality = known["dseg"]["Quality"]
    if not quality["Trusted"]:
        reasons = "; ".join(quality["Reasons"])
        warnings.warn(
            f"The network's segmentation is not to be trusted: {reasons}. Look at mask and "
            "tissue, or run with --segmentation mixture.",
            io.DataWarning,
            stacklevel=2,
        )
    return known
