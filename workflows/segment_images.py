"""Which images a segmentation takes, and how results of each are named."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from brainnet import bids, io
from brainnet.bids import ENTITY_ORDER, Scan, derivative_path
from brainnet.bids.names import parse, shown
from brainnet.io import DataError
from brainnet.workflows.engine.uris import dataset_of, uri_from

__all__ = ["SUFFIXES", "Found", "Image", "find_images"]

#: BIDS suffixes of head images that are taken where none is asked for
SUFFIXES = ("T1w", "T2w", "FLAIR", "PDw", "T2starw", "UNIT1", "ct")
_EXTENSIONS = (".nii.gz", ".nii")
_DESCRIPTION = "dataset_description.json"


@dataclass(frozen=True)
class Image:
    """One image to segment, and where its results go.

    Attributes
    ----------
    source : pathlib.Path
        The image.
    out_dir : pathlib.Path
        Top of the results.
    scan : brainnet.bids.Scan, optional
        Its place in a dataset; results then stand in the participant's folder.
    """

    source: Path
    out_dir: Path
    scan: Scan | None = None

    @property
    def stem(self) -> str:
        """Name of the file without its extension."""
        return _stem(self.source)

    @property
    def _entities(self) -> tuple[str, dict[str, str]]:
        """What names start with, and the entities of the image; one of the two is empty."""
        entities, suffix = parse(self.stem)
        if self.scan is None and ("sub" not in entities or entities.keys() - {*ENTITY_ORDER}):
            return self.stem, {}
        # masks of a T1w are in its own space without saying so; others must not have their names
        own = {"space": suffix} if suffix != "T1w" else {}
        return "", own | entities

    def path(self, suffix: str, extension: str = ".nii.gz", **entities: str) -> Path:
        """Return the path of a result.

        Examples
        --------
        >>> Image(Path("a/head.nii"), Path("out")).path("mask", desc="brain").as_posix()
        'out/head_desc-brain_mask.nii.gz'
        >>> Image(Path("sub-1_T2w.nii"), Path("out")).path("mask", desc="brain").as_posix()
        'out/sub-1_space-T2w_desc-brain_mask.nii.gz'
        """
        start, known = self._entities
        merged = known | entities
        if self.scan is not None:
            return derivative_path(
                self.out_dir, self.scan, suffix=suffix, extension=extension, **merged
            )
        parts = [f"{key}-{merged[key]}" for key in ENTITY_ORDER if key in merged]
        return self.out_dir / ("_".join([*filter(None, [start]), *parts, suffix]) + extension)

    @property
    def page(self) -> Path:
        """Where the page of the image goes: the top of the results."""
        return self.out_dir / f"{self.stem}_segmentation.html"

    @property
    def reference(self) -> str | None:
        """BIDS URI of the image where the names of its results tell of its space; else None."""
        if self.scan is None or "space" not in self._entities[1]:
            return None
        return uri_from(self.out_dir.absolute(), self.source)

    @property
    def simulated(self) -> bool:
        """Whether the dataset in which the image lies says that its data are simulated."""
        top = dataset_of(self.source)
        name = "" if top is None else io.load_json(top / _DESCRIPTION).get("Name", "")
        return "simulated" in str(name).lower()

    def check(self) -> None:
        """Raise what is wrong with the image's name, its place in its dataset or its results'."""
        if self.scan is None:
            return
        self.scan.check()
        try:
            self.path("mask", desc="brain")
        except DataError:
            raise
        except ValueError as error:
            raise DataError(self.source, str(error), "Rename it") from error


@dataclass(frozen=True)
class Found:
    """The images of a run.

    Attributes
    ----------
    images : list of Image
        In the order given, or of the dataset.
    dataset : pathlib.Path or None
        The BIDS dataset that they are from.
    """

    images: list[Image] = field(default_factory=list)
    dataset: Path | None = None


def find_images(
    given: Path | str | Sequence[Path | str],
    out_dir: Path,
    *,
    suffixes: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    unignored: Sequence[str] = (),
) -> Found:
    """Return the images that paths stand for.

    Parameters
    ----------
    given : path or sequence of path
        Images, or one folder of images, or one BIDS dataset.
    out_dir : pathlib.Path
        Where results will go.
    suffixes : sequence of str, optional
        Of a dataset: which kinds of images; default `SUFFIXES`.
    labels : sequence of str, optional
        Of a dataset: which participants.
    unignored : sequence of str
        Of a dataset: data types that are taken though its ``.bidsignore`` names them.

    Raises
    ------
    ValueError
        Nothing is given.
    brainnet.io.DataError
        A path that is missing or no image; a folder without images; a folder beside other paths;
        two images, not of a dataset, whose results would have one name; results among the images.
    """
    paths = [Path(given)] if isinstance(given, str | Path) else [Path(each) for each in given]
    if out_dir.exists() and not out_dir.is_dir():
        raise DataError(out_dir, "is a file", "Give a folder for the results")
    if not paths:
        raise ValueError("images must hold at least one; got none. Name an image.")
    folders = [path for path in paths if path.is_dir()]
    if folders and len(paths) > 1:
        what = "is a folder, and others are given beside it"
        raise DataError(folders[0], what, "Give one folder, or images only")
    dataset = folders[0] if folders and (folders[0] / _DESCRIPTION).exists() else None
    if dataset is not None:
        return _of_dataset(dataset, out_dir, suffixes or SUFFIXES, labels, unignored)
    if suffixes or labels:
        what = "is not a BIDS dataset, and --suffix and --participant-label are about those"
        raise DataError(paths[0], what, "Leave them out")
    images = [Image(path, out_dir) for path in (_inside(folders[0]) if folders else paths)]
    for image in images:
        _check(image)
    for clash in _clashes(images).values():
        raise clash
    return Found(images)


def _of_dataset(
    folder: Path, out_dir: Path, suffixes: Sequence[str], labels: Sequence[str] | None,
    unignored: Sequence[str],
) -> Found:  # fmt: skip
    """Return the images of a BIDS dataset that have one of the suffixes."""
    scans = bids.index(folder, subjects=labels, derivative=True, unignored=unignored)
    taken = [
        scan
        for scan in scans
        if (scan.suffix in suffixes and scan.entities.get("part", "mag") == "mag")
        or not scan.suffix  # a folder that cannot be read: told when its turn comes
    ]
    if not taken:
        what = f"has no image of the kinds {', '.join(suffixes)}"
        raise DataError(folder, what, "Say with --suffix which images to segment")
    clashes = _clashes([Image(scan.path, out_dir, scan) for scan in taken])
    marked = [replace(scan, problem=clashes.get(scan.path, scan.problem)) for scan in taken]
    return Found([Image(scan.path, out_dir, scan) for scan in marked], folder)


def _inside(folder: Path) -> list[Path]:
    """Return the images of a folder, or say that there are none."""
    found = sorted(path for path in folder.iterdir() if _is_image(path))
    if not found:
        inner = [path for path in folder.iterdir() if path.is_dir()]
        hint = " and no dataset_description.json, which would make it a BIDS dataset"
        what = f"holds no .nii or .nii.gz image{hint if inner else ''}"
        raise DataError(folder, what, "Give images, a folder of images, or a BIDS dataset")
    return found


def _is_image(path: Path) -> bool:
    return path.name.endswith(_EXTENSIONS) and not path.name.startswith(".")


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _check(image: Image) -> None:
    """Raise for a path that cannot be segmented, before anything runs."""
    path = image.source
    if not path.exists():
        raise DataError(path, "does not exist", "Check the path")
    if not _is_image(path):
        raise DataError(path, "not a .nii or .nii.gz file", "Convert the image to .nii.gz")
    if path.parent.resolve() == image.out_dir.resolve():
        what = "lies where the results are to go: the next run would take them for images"
        raise DataError(path, what, "Give another folder for the results")


def _clashes(images: Sequence[Image]) -> dict[Path, DataError]:
    """Return what to raise for images whose results would have one name, on some disk at least.

    An image with another fault has no results, and takes no name from others.
    """
    first: dict[str, Path] = {}
    found: dict[Path, DataError] = {}
    for image in images:
        with suppress(DataError):
            image.check()
            for path in (image.path("mask", desc="brain"), image.page):
                other = first.setdefault(path.as_posix().lower(), image.source)
                if other != image.source:
                    found |= {image.source: _clash(image.source, other)}
                    found.setdefault(other, _clash(other, image.source))
    return found


def _clash(path: Path, other: Path) -> DataError:
    what = f"and {shown(str(other))} would have results of one name"
    remedy = "Rename one of them, or give each a folder of its own for the results"
    return DataError(path, what, remedy)
