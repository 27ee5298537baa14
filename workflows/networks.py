"""Regional signals to networks with names and coverage, and their measures in one table."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from nibabel.nifti1 import Nifti1Image
from numpy.typing import ArrayLike

from brainnet import io
from brainnet.atlas import Atlas
from brainnet.bids import Scan, derivative_path
from brainnet.connectome import correlation
from brainnet.connectome import similarity as similarities
from brainnet.metrics.sweep import sweep
from brainnet.signals import extract
from brainnet.workflows.settings import Settings
from brainnet.workflows.steps import Steps

Paths = Mapping[str, Path]
#: fewest measured regions that make a network
MIN_REGIONS = 3


@dataclass(frozen=True)
class Result:
    """What a pipeline made of one scan.

    Attributes
    ----------
    modality : str
        ``morphological``, ``functional`` or ``metabolic``.
    scan : brainnet.bids.Scan
        The scan it comes from.
    paths : mapping
        Name to path of everything that was made.
    """

    modality: str
    scan: Scan
    paths: Paths


def similarity(
    img: Nifti1Image,
    labels_img: Nifti1Image,
    atlas: Atlas,
    outputs: Paths,
    *,
    mask_img: Nifti1Image | None = None,
) -> None:
    """Write the network of similarity between regional distributions, and its coverage.

    Every modality whose signal is a sample of voxels per region (T1w, static PET) ends here.
    """
    samples, coverage = extract.voxel_samples(img, labels_img, atlas.indices, mask_img=mask_img)
    weights = similarities.js_similarity(samples)
    io.save_matrix(weights, atlas.names, outputs["network"])
    save_coverage(coverage, atlas, outputs["coverage"])
    if "samples" in outputs:
        frames = [
            pd.DataFrame({"name": name, "value": values})
            for name, values in zip(atlas.names, samples, strict=True)
        ]
        io.save_table(pd.concat(frames, ignore_index=True), outputs["samples"])


def correlation_network(inputs: Paths, outputs: Paths) -> None:
    """Write the Pearson correlation between regional time series."""
    table = io.load_table(inputs["timeseries"])
    weights = correlation.pearson(table.to_numpy(np.float64))
    io.save_matrix(weights, list(table.columns), outputs["network"])


def save_coverage(coverage: ArrayLike, atlas: Atlas, path: Path) -> None:
    """Write the share of each region's voxels that were measured."""
    io.save_table(pd.DataFrame({"name": atlas.names, "coverage": np.asarray(coverage)}), path)


def run(
    where: Mapping[str, str | None],
    results: Sequence[Result],
    out_dir: Path,
    settings: Settings,
    steps: Steps,
) -> Path:
    """Measure every network of one participant and session; return the long table's path.

    ``where`` names ``subject`` and ``session`` (None where the dataset has none).
    """
    path = measures_path(where, out_dir, settings)
    steps.run(
        "network measures",
        measure,
        inputs={key: result.paths["network"] for key, result in by_name(results).items()},
        outputs={"measures": path},
        parameters={"densities": list(settings.densities)},
        seed=settings.seed,
    )
    return path


def measures_path(where: Mapping[str, str | None], out_dir: Path, settings: Settings) -> Path:
    """Name the table of a participant and session's network measures."""
    entities = {"sub": where["subject"], "ses": where["session"]}
    return derivative_path(
        out_dir,
        {key: value for key, value in entities.items() if value is not None},
        suffix="measures",
        extension=".tsv",
        seg=settings.atlas,
    )


def by_name(results: Sequence[Result]) -> dict[str, Result]:
    """Name each result by its modality; further runs of a modality add their entities.

    The first run of a modality has the modality's plain name.
    """
    named: dict[str, Result] = {}
    for result in results:
        entities = result.scan.entities.items()
        detail = "_".join(f"{k}-{v}" for k, v in entities if k not in ("sub", "ses"))
        name = f"{result.modality}_{detail}" if result.modality in named else result.modality
        named[name] = result
    return named


def measure(inputs: Paths, outputs: Paths, *, densities: Sequence[float], seed: int) -> None:
    """Measure each network at each density."""
    found = {key: io.load_matrix(path) for key, path in inputs.items()}
    n_measured = {key: int((~each.isna().all()).sum()) for key, each in found.items()}
    few = {key: n for key, n in n_measured.items() if n < MIN_REGIONS}
    tables = []
    for key, n in few.items():
        warnings.warn(
            f"The {key} network has {n} measured regions, too few for network "
            "measures: it has none in the table.",
            io.DataWarning,
            stacklevel=2,
        )
        counted = {"measure": "n_regions_measured", "density": np.nan, "region": "global"}
        tables.append(pd.DataFrame([{"modality": key, **counted, "value": float(n)}]))
    enough = {key: each for key, each in found.items() if key not in few}
    if enough:
        networks = xr.DataArray(
            np.array([[each.to_numpy(np.float64) for each in enough.values()]]),
            dims=("subject", "modality", "region", "region_to"),
            coords={"modality": list(enough), "region": list(next(iter(enough.values())))},
        )
        table = sweep(networks, densities=densities, unmeasured="leave_out", seed=seed)
        tables.append(table.drop(columns="subject"))
    columns = ["modality", "measure", "density", "region", "value"]
    io.save_table(pd.concat(tables, ignore_index=True)[columns], outputs["measures"])
