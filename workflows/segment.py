"""Any head image to brain mask, tissue, structures with their volumes, and a page.

The network finds the brain at 2 mm in images of any contrast; every result lies on the image's
own grid. Each image is a step of its own: what is there already and matches its record is kept,
and an image that fails stops no other.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.nifti1 import Nifti1Image

from brainnet import bids, io
from brainnet.io import DataError
from brainnet.workflows.engine.step import sidecar_path, version_of
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.segment_images import Image, find_images
from brainnet.workflows.segment_tables import save_labels, save_summary

if TYPE_CHECKING:
    from brainnet.models.voxel.segment import Segmentation, Segmenter

__all__ = [
    "Options",
    "Result",
    "model_files",
    "network_of",
    "runner_of",
    "segment_brain",
    "shown",
    "words_of",
    "write_brain",
]

Paths = Mapping[str, Path]
TASK = "brain"
TISSUES = ("GM", "WM", "CSF")
#: entity ``seg`` of all that the network labels
SEG = "brainnet"
#: flips of the image over which probabilities are averaged, by axes
AS_IT_IS: tuple[tuple[int, ...], ...] = ((),)
MIRRORED: tuple[tuple[int, ...], ...] = ((), (0,))
#: first words of the field Method of what the network made
METHOD = "brainnet network"
_LOG = logging.getLogger("brainnet")


@dataclass(frozen=True)
class Options:
    """What a run may be told.

    Attributes
    ----------
    model : pathlib.Path, optional
        Folder of a network and its card; default the one that comes with the package.
    flips : sequence of sequence of int
        Axes along which the image is turned over; probabilities are averaged over all of them.
        `MIRRORED` takes twice as long and is a little better.
    max_memory : float
        GB that the network may take; where the field of view takes more, windows slide over it.
    soft : bool
        Write the probability of every label too, on the network's grid.
    suffixes : sequence of str, optional
        Of a dataset, only images of these kinds, such as ``T1w``.
    labels : sequence of str, optional
        Of a dataset, only these participants, with or without ``sub-``.

    Raises
    ------
    ValueError
        If ``max_memory`` is not positive.
    """

    model: Path | None = None
    flips: Sequence[Sequence[int]] = AS_IT_IS
    max_memory: float = 4.0
    soft: bool = False
    suffixes: Sequence[str] | None = None
    labels: Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not self.max_memory > 0:
            raise ValueError(f"max_memory must be positive; got {self.max_memory}.")

    def parameters(self) -> dict[str, Any]:
        """Return what a result depends on besides image and network."""
        return {"flips": [list(each) for each in self.flips], "max_memory": self.max_memory}


@dataclass(frozen=True)
class Result:
    """What became of one image.

    Attributes
    ----------
    image : pathlib.Path
        The image.
    page : pathlib.Path or None
        Its report; None where it failed.
    trusted : bool
        Whether the segmentation's quality is good enough to be used.
    reasons : tuple of str
        Why it is not trusted.
    failure : str
        Why there is no segmentation: what, rule, remedy. Empty where there is one.
    """

    image: Path
    page: Path | None = None
    trusted: bool = False
    reasons: tuple[str, ...] = field(default_factory=tuple)
    failure: str = ""


def segment_brain(
    images: Path | str | Sequence[Path | str],
    out_dir: Path | str,
    *,
    options: Options | None = None,
    progress: bool = False,
) -> list[Result]:
    """Segment brains in head images; write masks, tissue, structures, volumes and pages.

    Parameters
    ----------
    images : path or sequence of path
        NIfTI images of any contrast, 3-D; or one folder of them; or one BIDS dataset, of which
        every anatomical image is taken.
    out_dir : path
        For a dataset a derivatives dataset, whose masks and tissue ``--derivatives`` of the
        participant level takes; else a plain folder.
    options : Options, optional
        Network, flips, memory, what is written.
    progress : bool
        Show a bar.

    Returns
    -------
    list of Result
        One an image, in order.

    Raises
    ------
    brainnet.io.DataError
        An image or the model is missing or the model damaged, nothing to segment, two images not
        of a dataset whose results would have one name, an ``out_dir`` that cannot be one. Nothing
        has run then.

    Notes
    -----
    Written are, named after the image: ``desc-brain_mask``, ``seg-brainnet_dseg`` (with
    ``seg-brainnet_dseg.tsv`` for all images), ``label-{GM,WM,CSF}_probseg``,
    ``seg-brainnet_morph.tsv`` (volumes and expected Dice), with ``soft`` ``seg-brainnet_probseg``
    and a page; and ``group_segmentation.tsv``, a row for every image in ``out_dir``. Quality
    stands in the sidecar of every map, intracranial volume in that of the label map.
    """
    options, out_dir = options or Options(), Path(out_dir)
    found = find_images(images, out_dir, suffixes=options.suffixes, labels=options.labels)
    model = model_files(options.model)
    segmenter = network_of(model)
    if found.dataset is not None:
        bids.write_dataset_description(out_dir, found.dataset)
    save_labels(segmenter.table.regions, out_dir / f"seg-{SEG}_dseg.tsv")
    results = [_one(image, model, options) for image in shown(found.images, progress)]
    save_summary(out_dir, f"_seg-{SEG}_dseg.json")
    return results


def model_files(folder: Path | str | None = None, *, task: str = TASK) -> dict[str, Path]:
    """Return card and weights of a network, which are inputs of every step that uses it.

    Parameters
    ----------
    folder : path, optional
        Default the network of the package. Weights are ``model.onnx`` where the card says so.
    task : str
        Which of the package's.
    """
    home = Path(str(resources.files("brainnet.models.voxel"))) / "weights" / task
    folder = home if folder is None else Path(folder)
    if not folder.is_dir():
        remedy = "Give the folder of a model: card.json and weights.safetensors or model.onnx"
        raise DataError(folder, "is not the folder of a model", remedy)
    is_onnx = io.load_json(folder / "card.json").get("format") == "onnx"
    weights = folder / ("model.onnx" if is_onnx else "weights.safetensors")
    return {"card": folder / "card.json", "weights": weights}


def runner_of(model: Paths) -> str:
    """Return name and version of the package that runs a network: a result depends on it."""
    package = "onnxruntime" if model["weights"].suffix == ".onnx" else "monai"
    return f"{package} {version_of(package)}"


def output_paths(image: Image, *, soft: bool = False) -> dict[str, Path]:
    """Name every result of an image, by the keys of `write_brain`."""
    paths = {
        "dseg": image.path("dseg", seg=SEG),
        "mask": image.path("mask", desc="brain"),
        **{label: image.path("probseg", label=label) for label in TISSUES},
        "structures": image.path("morph", ".tsv", seg=SEG),
    }
    return paths | ({"posterior": image.path("probseg", seg=SEG, res="network")} if soft else {})


def _one(image: Image, model: Paths, options: Options) -> Result:
    """Segment one image and write its page; tell what failed instead of raising it."""
    from brainnet.workflows import segment_page

    steps = Steps(lambda name: _LOG.info("%s: %s", image.source.name, name))
    try:
        image.check()
        made = _made(image, model, options, steps)
        page = segment_page.run(image, made, model, steps)
        quality = io.load_json(sidecar_path(made["dseg"]))["Quality"]
    except Exception as error:
        _LOG.debug("%s", image.source, exc_info=True)
        return Result(image.source, failure=words_of(error))
    return Result(image.source, page, quality["Trusted"], tuple(quality["Reasons"]))


def _made(image: Image, model: Paths, options: Options, steps: Steps) -> Paths:
    """Run the step of one image; where it fails, nothing of an earlier run is left."""
    outputs = output_paths(image, soft=options.soft)
    where = {} if image.reference is None else {"reference": image.reference}
    try:
        return steps.run(
            "brain segmentation",
            write_brain,
            inputs={"image": image.source, **model},
            outputs=outputs,
            parameters=options.parameters() | {"runner": runner_of(model)} | where,
        ).outputs
    finally:
        if not outputs["dseg"].exists():  # the step has removed its own
            for path in (image.page, output_paths(image, soft=True)["posterior"]):
                path.unlink(missing_ok=True)
                sidecar_path(path).unlink(missing_ok=True)


def words_of(error: Exception) -> str:
    """Say why an image failed, in one line.

    Examples
    --------
    >>> words_of(KeyError("a"))
    "KeyError: 'a'"
    """
    from brainnet.models.core._demand import is_out_of_memory

    if is_out_of_memory(error):
        return "the machine ran out of memory. Close other programs, or run it where there is more."
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


def write_brain(
    inputs: Paths,
    outputs: Paths,
    *,
    flips: Sequence[Sequence[int]],
    max_memory: float,
    runner: str,
    reference: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Segment an image and write those of `output_paths` that are asked for.

    ``inputs`` hold ``image``, ``card`` and ``weights``; where they hold a ``mask`` too, on the
    image's grid, tissue is 0 outside it. ``runner``, as `runner_of` gives it, is for the record
    alone. ``reference`` is the BIDS URI of the image, for names that say in whose space they are.
    """
    found = _segment(inputs, tuple(tuple(each) for each in flips), max_memory)
    known = _metadata(found, inputs)
    images = {"dseg": found.labels_img, "mask": found.mask_img, **_tissue(found, inputs)}
    for key, each in images.items():
        if not np.asanyarray(each.dataobj).any():
            reasons = "; ".join(found.quality.reasons) or f"{key} is empty"
            remedy = "Look at the image: is it a head, whole, of the voxel size its header says?"
            raise DataError(inputs["image"], f"no brain was found in it ({reasons})", remedy)
        if key in outputs:
            io.save_img(each, outputs[key])
    if "structures" in outputs:
        io.save_table(found.volumes, outputs["structures"])
    if "posterior" in outputs:
        io.save_img(found.posterior_img, outputs["posterior"])
    where = {} if reference is None else {"SpatialReference": reference}
    return {key: known[key] | (where if key != "structures" else {}) for key in outputs}


def _segment(
    inputs: Paths, flips: tuple[tuple[int, ...], ...], max_memory: float
) -> "Segmentation":
    """Segment an image; an error names its file."""
    from brainnet.models.voxel import segment

    img = io.load_img(inputs["image"], ndim=3)
    try:
        return segment.segment(img, network_of(inputs), flips=flips, max_memory=max_memory)
    except DataError:
        raise
    except ValueError as error:
        what = str(error).rstrip(".")
        memory = what.startswith("max_memory")
        remedy = "Give more to --mem" if memory else "Give one image of a whole head"
        raise DataError(inputs["image"], what, remedy) from error


def _tissue(found: "Segmentation", inputs: Paths) -> dict[str, Nifti1Image]:
    """Return the tissue maps, 0 outside a brain mask where one was given."""
    maps = dict(found.tissue_imgs)
    if "mask" not in inputs:
        return maps
    inside = np.asanyarray(io.load_img(inputs["mask"], ndim=3).dataobj) > 0
    return {
        label: Nifti1Image(np.where(inside, np.asanyarray(img.dataobj), 0), img.affine)
        for label, img in maps.items()
    }


def _metadata(found: "Segmentation", inputs: Paths) -> dict[str, dict[str, Any]]:
    """Return what the sidecars say of each output."""
    card = io.load_json(inputs["card"])
    method = {"Method": f"{METHOD} {card['task']} {io.sha256(inputs['weights'])[:8]}"}
    voxel = abs(float(np.linalg.det(np.asarray(found.mask_img.affine)[:3, :3])))
    volume = float(np.asanyarray(found.mask_img.dataobj).sum()) * voxel / 1000
    quality = {
        "Score": round(float(found.quality.score), 4),
        "Trusted": bool(found.quality.trusted),
        "Reasons": list(found.quality.reasons),
    }
    judged = {**method, "Quality": quality}
    size = float(np.linalg.norm(found.posterior_affine[:3, 0]))
    return {
        "mask": {"Type": "Brain", **judged, "VolumeMillilitres": volume},
        **{label: dict(judged) for label in TISSUES},
        "dseg": {
            **judged,
            "Notes": list(found.notes),
            "BrainVolumeMillilitres": volume,
            "IntracranialVolumeMillilitres": float(found.icv_mm3) / 1000,
            "TissueVolumesMillilitres": _tissue_volumes(found, voxel),
        },
        "structures": dict(method),
        "posterior": {**method, "LabelMap": ["background", *found.volumes["name"]],
                      "Resolution": f"{size:.4g} mm, grid of the network"},
    }  # fmt: skip


def _tissue_volumes(found: "Segmentation", voxel: float) -> dict[str, float]:
    """Return the sum of each tissue's probability, ml."""
    sums = {
        label: float(np.asanyarray(img.dataobj).sum(dtype=np.float64))
        for label, img in found.tissue_imgs.items()
    }
    return {label: total * voxel / 1000 for label, total in sums.items()}


def network_of(model: Paths, *, task: str = TASK) -> "Segmenter":
    """Return the network of a folder, which stays loaded for the next image.

    Parameters
    ----------
    model : mapping
        Of :func:`model_files`.
    task : str
        What it must have been trained for.
    """
    for path in (model["card"], model["weights"]):
        if not path.is_file():
            raise DataError(path, "the model's file is missing", "Copy the model anew")
    marks = io.sha256(model["card"]), io.sha256(model["weights"])
    return _segmenter(model["card"].parent, marks, task)


@lru_cache(maxsize=1)
def _segmenter(folder: Path, _marks: tuple[str, str], task: str) -> "Segmenter":
    from brainnet.models.voxel.segment import load_segmenter

    return load_segmenter(folder, task=task)


def shown(images: Sequence[Image], progress: bool) -> Iterator[Image]:
    """Yield images, with a bar where it is wanted."""
    from tqdm import tqdm

    with tqdm(images, desc="segmenting", unit="image", disable=not progress) as bar:
        for image in bar:
            bar.set_postfix_str(image.source.name)
            yield image
