"""A network that knows the truth: what it finds was written into the image's brightness."""

import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet import io

#: brightness of each label in a toy head
REGIONS = pd.DataFrame({
    "index": [2, 41, 17, 24],
    "name": ["left white", "right white", "left hippocampus", "fluid"],
    "structure": ["white", "white", "hippocampus", "fluid"],
    "side": ["left", "right", "left", np.nan],
    "tissue": ["WM", "WM", "GM", "CSF"],
})  # fmt: skip
SCALE = 10
#: a toy head with a voxel of this brightness is not to be trusted
BROKEN = 999
TISSUES = ("GM", "WM", "CSF")


@dataclass
class Calls:
    """What the toy was asked."""

    flips: list[Any] = field(default_factory=list)
    loaded: list[Path] = field(default_factory=list)
    error: Exception | None = None


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Let every workflow find the toy in place of the network."""
    import brainnet.models.voxel as room
    from brainnet.models.core.checkpoint import load_checkpoint

    calls = Calls()

    def load_segmenter(folder: Path, *, task: str) -> SimpleNamespace:
        calls.loaded.append(folder)
        if (folder / "model.onnx").exists():
            load_checkpoint(folder, task=task)
        return SimpleNamespace(table=SimpleNamespace(regions=REGIONS), task=task)

    def segment(img: Nifti1Image, _segmenter: Any, *, flips: Any, max_memory: float) -> Any:
        calls.flips.append(flips)
        if img.shape[0] < 16:
            raise ValueError("img must have 16 voxels along each axis; got fewer.")
        if max_memory < 0.01:
            raise ValueError("max_memory must be 0.34 GB or more; got 0.001. Raise it.")
        if calls.error is not None:
            raise calls.error
        return find(img)

    toy = ModuleType("brainnet.models.voxel.segment")
    toy.__file__ = str(Path(room.__file__).parent / "segment.py")  # digests of code are remembered
    vars(toy).update(load_segmenter=load_segmenter, segment=segment)
    monkeypatch.setitem(sys.modules, "brainnet.models.voxel.segment", toy)
    monkeypatch.setattr(room, "segment", toy, raising=False)
    return calls


def find(img: Nifti1Image) -> SimpleNamespace:
    """Read labels off the brightness."""
    data = np.asarray(img.dataobj)
    labels = np.where(data == BROKEN, 0, data // SCALE).astype(np.int16)
    voxel = float(abs(np.linalg.det(img.affine[:3, :3])))
    tissue = dict(zip(REGIONS["index"], REGIONS["tissue"], strict=True))
    maps = {
        name: np.isin(labels, [k for k, v in tissue.items() if v == name]).astype(np.float32)
        for name in TISSUES
    }
    volumes = REGIONS.drop(columns="tissue").assign(
        volume_mm3=[float((labels == k).sum()) * voxel for k in REGIONS["index"]],
        predicted_dice=[0.9, 0.8, 0.7, 0.6],
    )
    broken = bool((data == BROKEN).any())
    return SimpleNamespace(
        labels_img=Nifti1Image(labels, img.affine),
        mask_img=Nifti1Image((labels > 0).astype(np.uint8), img.affine),
        tissue_imgs={name: Nifti1Image(each, img.affine) for name, each in maps.items()},
        posterior_img=Nifti1Image(
            np.stack([labels == k for k in (0, *REGIONS["index"])], -1).astype(np.float32),
            img.affine,
        ),
        posterior_affine=img.affine,
        volumes=volumes,
        icv_mm3=float((labels > 0).sum()) * voxel + 1000.0,
        notes=("a note of the toy",),
        quality=SimpleNamespace(
            score=0.2 if broken else 0.95,
            trusted=not broken,
            reasons=("the brain is cut off by the <edge>", "noise") if broken else (),
        ),
    )


def head(*, broken: bool = False, voxel: float = 4.0) -> Nifti1Image:
    """Return a toy head: a block of white matter on both sides, a hippocampus, fluid around."""
    data = np.zeros((24, 28, 24), np.int16)
    data[3:21, 3:25, 3:21] = 24 * SCALE
    data[5:12, 5:23, 5:19] = 2 * SCALE
    data[12:19, 5:23, 5:19] = 41 * SCALE
    data[7:10, 9:14, 8:11] = 17 * SCALE
    data[0, 0, 0] = BROKEN if broken else 0
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = [-46, -54, -46]
    return Nifti1Image(data, affine)


def model(folder: Path, *, note: str = "a toy") -> Path:
    """Write a card and weights that the toy does not need."""
    weights = note.encode()
    card = {
        "task": "brain", "note": note, "voxel_size": 4.0, "licence": "none",
        "data": {"label_maps": {f"map-{n}": "0" * 64 for n in range(9)}, "held_out": {}},
        "training": {"n_images": 9000}, "scores": {"dice": 0.87654321},
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "weights.safetensors").write_bytes(weights)
    return folder


def onnx_model(folder: Path) -> Path:
    """Write a model that does nothing, and its card, as ``brainnet compress`` would."""
    from onnx import TensorProto, helper

    from brainnet.models.core.compress.onnx import save_onnx

    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1, "x", "y", "z"])
        for name in ("image", "logits")
    ]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["logits"])], "toy", ends[:1], ends[1:]
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return save_onnx(folder, made.SerializeToString(), {"task": "brain", "voxel_size": 4.0})


def dataset(root: Path, images: dict[str, Nifti1Image], *, name: str = "toys") -> Path:
    """Write a BIDS dataset of images by path within it."""
    root.mkdir(parents=True, exist_ok=True)
    description = {"Name": name, "BIDSVersion": "1.10.0", "License": "CC0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    (root / "README.md").write_text("Toys, made by a test: heads of blocks, for nothing else.\n")
    for path, img in images.items():
        io.save_img(img, root / path)
    return root
