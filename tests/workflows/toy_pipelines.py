"""Pipelines of a few quick steps in place of the real ones, through the real engine."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet import atlas as atlases
from brainnet import io
from brainnet.bids import Scan, derivative_path
from brainnet.workflows import participant
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.networks import Result
from brainnet.workflows.settings import Settings

Paths = Mapping[str, Path]


def dataset(folder: Path, labels: Sequence[str], *, bold: bool = False) -> Path:
    """Write a dataset of tiny T1w images, and BOLD runs of two tasks where asked for."""
    io.save_json({"Name": "toy", "BIDSVersion": "1.10.0"}, folder / "dataset_description.json")
    for seed, label in enumerate(labels):
        person = folder / f"sub-{label}"
        image(person / "anat" / f"sub-{label}_T1w.nii.gz", seed)
        for task in ("rest", "nback") if bold else ():
            path = person / "func" / f"sub-{label}_task-{task}_bold.nii.gz"
            image(path, seed)
            io.save_json({"RepetitionTime": 2.0}, path.with_name(f"{path.name[:-7]}.json"))
    return folder


def image(path: Path, seed: int = 0) -> Path:
    """Write an image of noise."""
    data = np.random.default_rng(seed).normal(100, 10, (6, 6, 6)).astype(np.float32)
    return io.save_img(Nifti1Image(data, np.diag([2.0, 2.0, 2.0, 1.0])), path)


def cut(path: Path) -> None:
    """Keep the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def not_finite(path: Path) -> None:
    """Make every voxel NaN."""
    img = nib.load(path)
    data = np.full(img.shape, np.nan, np.float32)
    path.write_bytes(gzip.compress(Nifti1Image(data, img.affine).to_bytes()))


def number(inputs: Paths, outputs: Paths, **options: object) -> None:
    """Write a number that depends on every input and option."""
    texts = [io.sha256(path) for _, path in sorted(inputs.items())]
    value = hash_of("".join(texts) + repr(sorted(options.items())))
    for key, path in outputs.items():
        io.save_table(pd.DataFrame({"name": [key], "value": [value]}), path)


def strip(inputs: Paths, outputs: Paths, **options: object) -> None:
    """Read the T1w image as the gate does, and write a number."""
    io.load_img(inputs["t1w"], ndim=3)
    number(inputs, outputs, **options)


def write_page(inputs: Paths, outputs: Paths, *, failures: list[str]) -> None:
    """Write a page that names its inputs and the failures."""
    io.save_text("\n".join(["<html>", *sorted(inputs), *failures]), outputs["page"])


def hash_of(text: str) -> float:
    """Return a number of a text."""
    return float(int.from_bytes(text.encode(), "little") % 999_983)


def anatomy(scan: Scan, out_dir: Path, settings: Settings, steps: Steps) -> dict[str, Path]:
    """Run mask, then atlas on it, and beside them the reference region."""

    def name(suffix: str, **entities: str) -> Path:
        return derivative_path(out_dir, scan, suffix=suffix, extension=".tsv", **entities)

    paths = {
        "mask": name("mask"),
        "reference": name("mask", desc="reference"),
        "network": name("relmat", seg=settings.atlas),
    }
    steps.run("mask", strip, inputs={"t1w": scan.path}, outputs={"mask": paths["mask"]},
              parameters={"skull_strip": settings.skull_strip})  # fmt: skip
    steps.run("reference", number, inputs={"mask": paths["mask"]},
              outputs={"reference": paths["reference"]},
              parameters={"reference_region": settings.reference_region})  # fmt: skip
    steps.run("network", number, inputs={"mask": paths["mask"]} | settings.atlas_files(),
              outputs={"network": paths["network"]},
              parameters={"atlas": settings.atlas})  # fmt: skip
    return paths


def anatomy_for_groups(
    scan: Scan, out_dir: Path, settings: Settings, steps: Steps
) -> dict[str, Path]:
    """Run two steps whose results the group level can gather."""

    def name(suffix: str, **entities: str) -> Path:
        return derivative_path(
            out_dir, scan, suffix=suffix, extension=".tsv", seg=settings.atlas, **entities
        )

    paths = {
        "network": name("relmat", stat="jssimilarity"),
        "volumes": name("morph", stat="volume"),
        "coverage": name("morph", stat="coverage"),
    }
    steps.run("mask", strip, inputs={"t1w": scan.path}, outputs={"mask": name("mask")})
    steps.run("network", random_network, inputs={"t1w": scan.path}, outputs=paths,
              parameters={"atlas": settings.atlas})  # fmt: skip
    return paths


def random_network(inputs: Paths, outputs: Paths, *, atlas: str) -> None:
    """Write a network and regional tables that depend on the scan."""
    names = atlases.load(atlas).names
    rng = np.random.default_rng(int(io.sha256(inputs["t1w"])[:8], 16))
    weights = np.triu(rng.uniform(0.1, 0.9, (len(names), len(names))).round(3), 1)
    io.save_matrix(weights + weights.T, names, outputs["network"])
    table = pd.DataFrame({"name": names, "value": 1.0, "coverage": 1.0})
    io.save_table(table, outputs["volumes"])
    io.save_table(table.drop(columns="value"), outputs["coverage"])


def bold(
    scan: Scan, anatomy: Paths, out_dir: Path, settings: Settings, steps: Steps
) -> dict[str, Path]:
    """Run two steps, the second of which reads the reference region."""

    def name(suffix: str) -> Path:
        return derivative_path(out_dir, scan, suffix=suffix, extension=".tsv")

    steps.run("motion", number, inputs={"bold": scan.path}, outputs={"motion": name("motion")})
    steps.run("ratio", number,
              inputs={"motion": name("motion"), "reference": anatomy["reference"]},
              outputs={"network": name("relmat")})  # fmt: skip
    return {"network": name("relmat")}


def measures(
    where: Mapping[str, str | None],
    results: Sequence[Result],
    out_dir: Path,
    settings: Settings,
    steps: Steps,
) -> None:
    """Run the one step that takes a seed."""
    steps.run("measures", number,
              inputs={str(i): result.paths["network"] for i, result in enumerate(results)},
              outputs={"measures": out_dir / f"sub-{where['subject']}" / "measures.tsv"},
              seed=settings.seed)  # fmt: skip


def page(
    where: Mapping[str, str | None],
    results: Sequence[Result],
    failures: Sequence[str],
    out_dir: Path,
    settings: Settings,
    steps: Steps,
) -> Path:
    """Run the step that writes the page."""
    path = out_dir / f"sub-{where['subject']}.html"
    inputs = {f"{r.scan.path.name}:{k}": p for r in results for k, p in r.paths.items()}
    steps.run("report", write_page, inputs=inputs, outputs={"page": path},
              parameters={"failures": list(failures)})  # fmt: skip
    return path


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the participant level run these pipelines."""
    monkeypatch.setattr(participant.anatomical, "run", anatomy)
    monkeypatch.setitem(participant.PIPELINES, "bold", ("functional", bold))
    monkeypatch.setattr(participant.networks, "run", measures)
    monkeypatch.setattr(participant.page, "run", page)
