"""Scans of patients with what is known of them: the folders that such data come in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from brainnet.io import DataError
from brainnet.models.voxel.haemorrhage.slice_labels import (
    SliceLabels,
    key_of,
    load_slice_labels,
)

__all__ = ["ANYTHING", "LAYOUTS", "UNKNOWN_KIND", "Case", "Dataset", "find_dataset"]

#: A voxel of a haemorrhage whose kind nobody said, and one of which nothing is known.
UNKNOWN_KIND, ANYTHING = "haemorrhage of unknown kind", "anything"
#: What a number in a mask means where nothing else is said.
_BINARY: Mapping[int, tuple[str, ...]] = MappingProxyType({1: (UNKNOWN_KIND,)})
#: Wu et al. (2023), BHSD, MLMI.
_BHSD = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
_MASK_FOLDERS = frozenset(
    {"masks", "mask", "labels", "label", "labelstr", "ground truths", "ground_truths",
     "groundtruth", "segmentations"}
)  # fmt: skip
_TEST_FOLDERS = frozenset({"imagests", "labelsts"})
_MASK_ENDINGS = ("_dseg", "_mask", "_seg", "_label", "_roi")
_MASK_ENTITIES = ("_desc-", "_label-", "_seg-", "_space-")


@dataclass(frozen=True)
class Case:
    """One scan and what is known of it: a mask, labels of its slices, or both.

    Parameters
    ----------
    name : str
        Of the file, without its endings.
    image : Path
    mask : Path, optional
    labels : SliceLabels, optional
        Beside a mask they say which kinds a haemorrhage of unknown kind may be.
    """

    name: str
    image: Path
    mask: Path | None = None
    labels: SliceLabels | None = None


@dataclass(frozen=True)
class Dataset:
    """Scans whose masks mean the same.

    Parameters
    ----------
    cases : tuple of Case
    meanings : mapping of int to tuple of str
        What each number in a mask says: structures of the label table, one of which it is;
        :data:`UNKNOWN_KIND`; or :data:`ANYTHING`. 0 is all that has no number and is no
        haemorrhage, unless it stands here.
    by_index : bool
        Whether a mask lies on its image voxel by voxel, whatever its header says of the place.
    """

    cases: tuple[Case, ...]
    meanings: Mapping[int, tuple[str, ...]] = field(default_factory=lambda: dict(_BINARY))
    by_index: bool = False


def find_dataset(
    folder: Path | str,
    layout: str = "pairs",
    *,
    meanings: Mapping[int, Sequence[str]] | None = None,
    labels: Path | str | None = None,
) -> Dataset:
    """Return the scans of a folder, each with its mask or the labels of its slices.

    Parameters
    ----------
    folder : path
    layout : {"pairs", "ct-ich", "instance", "bhsd"}
        ``pairs``: NIfTI images and masks as BIDS (``sub-1_ct`` and ``sub-1_dseg`` or ``_mask``),
        nnU-Net (``imagesTr/x_0000``, ``labelsTr/x``) and others name them (``x`` and ``x_seg``;
        ``images/x`` and ``masks/x``); images and masks for testing (``imagesTs``) are left out.
        The others are PhysioNet's CT-ICH 1.3, INSTANCE 2022 and BHSD as they are downloaded.
    meanings : mapping of int to sequence of str, optional
        What numbers in masks mean, in place of the layout's.
    labels : path, optional
        A table of labels of slices or scans (:func:`load_slice_labels`): a scan without a mask
        is trained by them.

    Raises
    ------
    brainnet.io.DataError
        No such layout or folder, or nothing in it; an image without a mask or labels, a mask
        without an image, two of one name; as :func:`load_slice_labels`.
    """
    folder = Path(folder)
    if layout not in LAYOUTS:
        what = f"layout {layout!r} is not known"
        raise DataError(folder, what, f"Give one of {', '.join(LAYOUTS)}")
    if not folder.is_dir():
        raise DataError(folder, "no such folder", "Give the folder of the scans")
    dataset = LAYOUTS[layout](folder)
    if labels is not None:
        dataset = _labelled(dataset, Path(labels))
    bare = [each for each in dataset.cases if each.mask is None and each.labels is None]
    if bare:
        what = "an image without a mask" + (f", and not in {labels}" if labels else "")
        raise DataError(bare[0].image, what, "Add the mask, labels of its slices, or take it out")
    if meanings is None:
        return dataset
    return replace(dataset, meanings={number: tuple(each) for number, each in meanings.items()})


def _pairs(folder: Path) -> Dataset:
    files = sorted([*folder.rglob("*.nii"), *folder.rglob("*.nii.gz")])
    files = [each for each in files if each.parent.name.lower() not in _TEST_FOLDERS]
    masks = {each for each in files if _is_mask(each)}
    images = [each for each in files if each not in masks and _is_ct(each)]
    if not images:
        raise DataError(folder, "no NIfTI image in it", "Give the folder of the scans")
    return Dataset(_matched(images, sorted(masks)))


def _ct_ich(folder: Path) -> Dataset:
    cases = _two_folders(folder, "ct_scans", "masks")
    # masks were drawn slice by slice on videos of the scans; they are 0 and 1, or 0 and 255
    meanings = {1: (UNKNOWN_KIND,), 255: (UNKNOWN_KIND,)}
    dataset = Dataset(cases, meanings, by_index=True)
    return _labelled(dataset, folder / "hemorrhage_diagnosis_raw_ct.csv")


def _instance(folder: Path) -> Dataset:
    inner = [each for each in (folder / "train_2", folder / "train") if each.is_dir()]
    return Dataset(_two_folders(inner[0] if inner else folder, "data", "label"))


def _bhsd(folder: Path) -> Dataset:
    inner = folder / "label_192"
    cases = _two_folders(inner if inner.is_dir() else folder, "images", "ground truths")
    meanings = {number: (f"{kind} haemorrhage",) for number, kind in enumerate(_BHSD, start=1)}
    return Dataset(cases, meanings)


#: What finds the scans of each layout.
LAYOUTS: Mapping[str, Callable[[Path], Dataset]] = MappingProxyType(
    {"pairs": _pairs, "ct-ich": _ct_ich, "instance": _instance, "bhsd": _bhsd}
)


def _two_folders(folder: Path, images: str, masks: str) -> tuple[Case, ...]:
    found = [[*(folder / name).glob("*.nii"), *(folder / name).glob("*.nii.gz")]
             for name in (images, masks)]  # fmt: skip
    if not found[0]:
        remedy = f"Give the folder that holds {images} and {masks}"
        raise DataError(folder, f"no NIfTI image in {images}", remedy)
    return _matched(sorted(found[0]), sorted(found[1]))


def _matched(images: Sequence[Path], masks: Sequence[Path]) -> tuple[Case, ...]:
    """Return each image with the mask of its name."""
    mask_of = _by_name(masks, "masks")
    image_of = _by_name(images, "images")
    lone = sorted(set(mask_of) - set(image_of))
    if lone:
        raise DataError(mask_of[lone[0]], "a mask without an image", "Add the image, or remove it")
    return tuple(Case(name, image_of[name], mask_of.get(name)) for name in sorted(image_of))


def _by_name(paths: Sequence[Path], what: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        name = _name(path)
        if name in found:
            raise DataError(path, f"one of two {what} named {name}", "Name each scan differently")
        found[name] = path
    return found


def _name(path: Path) -> str:
    """Return the name that an image and its mask share."""
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    for ending in (*_MASK_ENDINGS, "_0000"):
        name = name.removesuffix(ending)
    for entity in _MASK_ENTITIES:
        name = "_".join(each for each in name.split("_") if not f"_{each}".startswith(entity))
    return name.removesuffix("_ct").removesuffix("_CT")


def _is_mask(path: Path) -> bool:
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    return path.parent.name.lower() in _MASK_FOLDERS or stem.endswith(_MASK_ENDINGS)


def _is_ct(path: Path) -> bool:
    """Say whether an image may be a CT: what BIDS names so, or what it does not name."""
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    return not stem.startswith("sub-") or stem.endswith("_ct")


def _labelled(dataset: Dataset, path: Path) -> Dataset:
    """Return a dataset with what a table says of its slices."""
    found = load_slice_labels(path)
    cases = tuple(replace(each, labels=found.get(key_of(each.name))) for each in dataset.cases)
    if not any(each.labels for each in cases):
        names = ", ".join(sorted(found)[:3])
        what = f"names none of the scans: it has {names}, the folder {cases[0].name}"
        raise DataError(path, what, "Name the scans as their files are named")
    return replace(dataset, cases=cases)
