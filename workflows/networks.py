"""Regional signals to networks with names and coverage, and their measures in one table."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from nibabel.nifti1 import Nifti1Image
from numpy.typing import ArrayLike

from brainnet import atlas as atlases
from brainnet import io
from brainnet.atlas import Atlas
from brainnet.bids import Scan, derivative_path
from brainnet.cohort.files import preferred_task
from brainnet.connectome.kinds import KINDS, Kind, first_kinds, kinds_of
from brainnet.modalities import MODALITIES
from brainnet.signals import extract
from brainnet.workflows import choices
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.settings import Settings

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


def kinds_for(modality: str, settings: Settings) -> tuple[Kind, ...]:
    """Return the kinds of edges that a run gives a modality, the first one first."""
    return kinds_of(MODALITIES[modality].kind, settings.connectome)


def network_paths(modality: str, settings: Settings, name: Callable[..., Path]) -> dict[str, Path]:
    """Name the network of each kind: ``network`` the first, ``network:kl`` and so on the others.

    ``name`` is called as ``name("relmat", ".tsv", seg=..., stat=...)``.
    """
    kinds = kinds_for(modality, settings)
    keys = ["network", *(f"network:{kind.name}" for kind in kinds[1:])]
    return {
        key: name("relmat", ".tsv", seg=settings.atlas, stat=kind.stat)
        for key, kind in zip(keys, kinds, strict=True)
    }


def connect(
    modality: str,
    source: Mapping[str, Path],
    paths: Paths,
    settings: Settings,
    steps: Steps,
    **facts: Any,
) -> None:
    """Run one step a kind of edges, from time series or samples to a network.

    Parameters
    ----------
    modality : str
        Name of the modality; its signal decides which step it is.
    source : mapping
        ``timeseries``, or ``samples``.
    paths : mapping
        Holds what `network_paths` names.
    settings, steps
        As for every pipeline.
    **facts
        Further parameters of the step.
    """
    sampled = MODALITIES[modality].kind == "samples"
    keys = [key for key in paths if key == "network" or key.startswith("network:")]
    for key, kind in zip(keys, kinds_for(modality, settings), strict=True):
        steps.run(
            f"{modality} network",
            similarity_network if sampled else correlation_network,
            inputs=dict(source) | (settings.atlas_files() if sampled else {}),
            outputs={"network": paths[key]},
            parameters={"kind": kind.name} | ({"atlas": settings.atlas} if sampled else {}) | facts,
        )


def save_samples(
    img: Nifti1Image,
    labels_img: Nifti1Image,
    atlas: Atlas,
    outputs: Paths,
    *,
    mask_img: Nifti1Image | None = None,
    share: ArrayLike = 1.0,
) -> None:
    """Write the values of each measured region's voxels, and the regions' coverage.

    ``share``, (n_regions,), is what ``labels_img`` holds of each whole region.
    """
    samples, coverage = extract.voxel_samples(img, labels_img, atlas.indices, mask_img=mask_img)
    coverage = coverage * np.asarray(share)
    enough = coverage >= extract.MIN_COVERAGE
    save_coverage(coverage, atlas, outputs["coverage"])
    frames = [
        pd.DataFrame({"name": name, "value": values if ok else values[:0]})
        for name, values, ok in zip(atlas.names, samples, enough, strict=True)
    ]
    io.save_table(pd.concat(frames, ignore_index=True), outputs["samples"])


def similarity_network(
    inputs: Paths, outputs: Paths, *, kind: str, atlas: str, simulated: bool = False
) -> dict[str, dict[str, Any]]:
    """Write the similarity between regional distributions of voxel values.

    Every modality whose signal is a sample of voxels per region (T1w, static PET) ends here.
    """
    regions = load_atlas(atlas, inputs)
    table = io.load_table(inputs["samples"], required=("name", "value"))
    values, names = table["value"].to_numpy(np.float64), table["name"].astype(str)
    places = names.groupby(names, sort=False).indices
    samples = [values[places[name]] if name in places else None for name in regions.names]
    io.save_matrix(KINDS[kind].measure(samples), regions.names, outputs["network"])
    measure = {"RelationshipMeasure": KINDS[kind].words}
    return {"network": measure | ({"Simulated": True} if simulated else {})}


def correlation_network(inputs: Paths, outputs: Paths, *, kind: str) -> dict[str, dict[str, Any]]:
    """Write the correlation between regional time series."""
    table = io.load_table(inputs["timeseries"])
    weights = KINDS[kind].measure(table.to_numpy(np.float64))
    io.save_matrix(weights, list(table.columns), outputs["network"])
    return {"network": {"RelationshipMeasure": KINDS[kind].words}}


def load_atlas(atlas: str, inputs: Paths) -> Atlas:
    """Load the atlas by name, or from the labels image among the inputs."""
    if "atlas" in inputs:
        return atlases.load(inputs["atlas"], table=inputs.get("atlas_table"))
    return atlases.load(atlas)


def save_coverage(coverage: ArrayLike, atlas: Atlas, path: Path) -> None:
    """Write the share of each region's voxels that were measured."""
    io.save_table(pd.DataFrame({"name": atlas.names, "coverage": np.asarray(coverage)}), path)


def run(
    where: Mapping[str, str | None],
    results: Sequence[Result],
    out_dir: Path,
    settings: Settings,
    steps: Steps,
) -> Path | None:
    """Measure the networks of one participant and session; return the long table's path.

    Parameters
    ----------
    where : mapping
        ``subject`` and ``session`` (None where the dataset has none).
    results : sequence of Result
        What the pipelines made.
    out_dir, settings, steps
        As for every pipeline.

    Returns
    -------
    pathlib.Path or None
        None where no measures are asked for.
    """
    names = choices.measure_names(settings.measures)
    if not names:
        return None
    path = measures_path(where, out_dir, settings)
    steps.run(
        "network measures",
        measure,
        inputs=_measured(results, settings),
        outputs={"measures": path},
        parameters={"densities": list(settings.densities), "measures": names},
        seed=settings.seed,
    )
    return path


def _measured(results: Sequence[Result], settings: Settings) -> dict[str, Path]:
    """Return the networks that measures are taken of, by the name that they have in the table."""
    found: dict[str, Path] = {}
    for name, result in by_name(results).items():
        found[name] = result.paths["network"]
        if settings.measured == "all":
            prefix = "network:"
            found |= {
                f"{name}_{key.removeprefix(prefix)}": path
                for key, path in result.paths.items()
                if key.startswith(prefix)
            }
    return found


def measures_path(where: Mapping[str, str | None], out_dir: Path, settings: Settings) -> Path:
    """Name the table of a participant and session's network measures."""
    entities = {"sub": where["subject"], "ses": where["session"], "desc": kinds_label(settings)}
    return derivative_path(
        out_dir,
        {key: value for key, value in entities.items() if value is not None},
        suffix="measures",
        extension=".tsv",
        seg=settings.atlas,
    )


def kinds_label(settings: Settings) -> str | None:
    """Return what tells results of other first kinds of edges apart; None for the defaults.

    Examples
    --------
    >>> kinds_label(Settings(connectome=["partial", "kl", "pearson"]))
    'partialKl'
    >>> kinds_label(Settings(connectome=["pearson", "partial"])) is None
    True
    """
    usual = first_kinds().values()
    first = first_kinds(settings.connectome).values()
    names = [kind.name for kind in first if kind not in usual]
    return "".join([*names[:1], *(name.capitalize() for name in names[1:])]) or None


def run_label(settings: Settings) -> str:
    """Return what the names of pages and of the group's files add: nothing for the defaults.

    Two atlases, or two first kinds of edges, in one folder do not overwrite each other's.

    Examples
    --------
    >>> run_label(Settings()), run_label(Settings(atlas="AAL", connectome=["partial"]))
    ('', '_seg-AAL_desc-partial')
    """
    kinds = kinds_label(settings)
    atlas = "" if settings.atlas == Settings.atlas else f"_seg-{settings.atlas}"
    return atlas + (f"_desc-{kinds}" if kinds else "")


def by_name(results: Sequence[Result]) -> dict[str, Result]:
    """Name each result by its modality; further runs of a modality add their entities.

    The run that a cohort takes has the modality's plain name: the first, and of several tasks the
    first of `brainnet.cohort.files.preferred_task`. So the name means the same for everybody.
    """
    named: dict[str, Result] = {}
    for result in results:
        entities = result.scan.entities.items()
        detail = "_".join(f"{k}-{v}" for k, v in entities if k not in ("sub", "ses"))
        plain = result is _plain(result.modality, results)
        named[result.modality if plain else f"{result.modality}_{detail or 'other'}"] = result
    return named


def _plain(modality: str, results: Sequence[Result]) -> Result:
    """Return which result of a modality is called by its plain name."""
    ours = [each for each in results if each.modality == modality]
    if MODALITIES[modality].kind != "timeseries":
        return ours[0]
    tasks = [each.scan.entities.get("task", "") for each in ours]
    return ours[tasks.index(preferred_task(tasks))]


def measure(
    inputs: Paths,
    outputs: Paths,
    *,
    densities: Sequence[float],
    measures: Sequence[str],
    seed: int,
) -> None:
    """Take measures of each network at each density."""
    from brainnet.metrics.sweep import sweep

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
        table = sweep(networks, measures, densities=densities, unmeasured="leave_out", seed=seed)
        tables.append(table.drop(columns="subject"))
    columns = ["modality", "measure", "density", "region", "value"]
    io.save_table(pd.concat(tables, ignore_index=True)[columns], outputs["measures"])
