"""What a training is told: a TOML file, read and checked, and the label maps that it names."""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from brainnet import io
from brainnet.io import DataError
from brainnet.io.files import warn
from brainnet.workflows.config import closest

if TYPE_CHECKING:
    from brainnet.models.core.recipe import Recipe
    from brainnet.models.voxel.labels import LabelTable
    from brainnet.models.voxel.losses import LossTerms
    from brainnet.models.voxel.synthesis import Scanner

__all__ = [
    "Synthesis",
    "Training",
    "find_label_maps",
    "load_label_map",
    "load_label_maps",
    "load_training",
]

_SECTIONS = ("data", "card", "network", "synthesis", "scanner", "loss", "recipe", "start")
_DATA = {"label_maps": "", "held_out": [""], "labels": "", "source": "", "licence": ""}
_CARD = {"intended_use": "", "not_for": "", "licence": ""}
_KINDS = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "a table"}
#: How far voxels of a label map may be from 1 mm.
_TOLERANCE = 0.05


@dataclass(frozen=True)
class Synthesis:
    """What is synthesised: fields of view, contrasts, and how many images an epoch.

    Parameters
    ----------
    voxel_size : float
        mm.
    shapes : sequence of three ints
        Fields of view, voxels; one is drawn for each image.
    contrasts : sequence of str
        Keys of :data:`brainnet.models.voxel.contrast.CONTRASTS`.
    n_an_epoch : int
        Images.
    balance : float
        How far small structures weigh more in the loss at the start, 0 to 1; it falls to 0
        half-way through.
    """

    voxel_size: float = 2.0
    shapes: list[Any] = field(default_factory=lambda: [[80, 96, 80]])
    contrasts: list[str] = field(
        default_factory=lambda: ["T1w", "T2w", "FLAIR", "PDw", "CT", "PET"]
    )
    n_an_epoch: int = 100
    balance: float = 0.0

    def __post_init__(self) -> None:
        if self.n_an_epoch < 1:
            raise ValueError(f"n_an_epoch must be 1 or more; got {self.n_an_epoch}.")
        if not 0 <= self.balance <= 1:
            raise ValueError(f"balance must be in [0, 1]; got {self.balance}.")


@dataclass(frozen=True)
class Training:
    """A training as its file tells it, every path resolved.

    Parameters
    ----------
    path : Path
        The file.
    label_maps, held_out : tuple of Path
        Label maps that train the network, and those that never do.
    labels : str
        Name of a label table of the package, or the path of one.
    network : dict
        ``name`` and ``options``.
    synthesis : Synthesis
    scanner : Scanner
    loss : LossTerms
    recipe : Recipe
    start : Path or None
        Folder of the model to start from.
    texts : dict
        What the model card says in words: ``source``, ``data_licence``, ``intended_use``,
        ``not_for``, ``licence``.
    """

    path: Path
    label_maps: tuple[Path, ...]
    held_out: tuple[Path, ...]
    labels: str
    network: dict[str, Any]
    synthesis: Synthesis
    scanner: "Scanner"
    loss: "LossTerms"
    recipe: "Recipe"
    start: Path | None
    texts: dict[str, str]

    def record(self) -> dict[str, Any]:
        """Return all that decides the result, as JSON holds it: files by name and hash.

        Of the model to start from, the hash of its weights and what its card says of its label
        maps and of its own training.

        Raises
        ------
        brainnet.io.DataError
            A file cannot be read; a held-out label map trained the model to start from.
        """
        held_out = {path.name: io.sha256(path) for path in self.held_out}
        return {
            "network": self.network,
            "synthesis": asdict(self.synthesis),
            "scanner": asdict(self.scanner),
            "loss": asdict(self.loss),
            "recipe": self.recipe.record(),
            "label_maps": {path.name: io.sha256(path) for path in self.label_maps},
            "held_out": held_out,
            "start": None if self.start is None else _lineage(self.start, held_out),
        }


def load_training(path: Path | str) -> Training:
    """Return the training that a TOML file describes.

    Parameters
    ----------
    path : path
        As ``brainnet train brain --print-recipe`` prints one. Paths in it are relative to it.

    Raises
    ------
    brainnet.io.DataError
        Not TOML; a section or a name that there is not (the closest one is named); a value of
        another kind, or outside its range; no label maps; a held-out map that is not there.
    """
    from brainnet.models.core.recipe import Recipe
    from brainnet.models.voxel.losses import LossTerms
    from brainnet.models.voxel.synthesis import Scanner

    path = Path(path)
    content = _sections(path)
    data = _checked(path, "data", content.get("data", {}), _DATA)
    card = _checked(path, "card", content.get("card", {}), _CARD)
    network = _checked(path, "network", content.get("network", {}), {"name": "", "options": {}})
    start = _checked(path, "start", content.get("start", {}), {"model": ""})
    if "label_maps" not in data or len(network) < 2:
        what = "[data] label_maps, [network] name and [network.options] must all be set"
        raise DataError(path, what, "brainnet train brain --print-recipe prints a file to edit")
    maps, held_out = _find_maps(path, data["label_maps"], [*map(str, data.get("held_out", []))])
    labels = data.get("labels", "brain")
    return Training(
        path=path,
        label_maps=maps,
        held_out=held_out,
        labels=str(path.parent / labels) if labels.endswith(".tsv") else labels,
        network=network,
        synthesis=_made(path, "synthesis", content, Synthesis),
        scanner=_made(path, "scanner", content, Scanner),
        loss=_made(path, "loss", content, LossTerms),
        recipe=_made(path, "recipe", content, Recipe),
        start=path.parent / start["model"] if start else None,
        texts={"source": data.get("source", ""), "data_licence": data.get("licence", ""), **card},
    )


def find_label_maps(folder: Path, remedy: str = "Give a folder of label maps") -> list[Path]:
    """Return the label maps of a folder, ``*_dseg.nii.gz``; raise a DataError if there is none."""
    maps = sorted([*folder.glob("*_dseg.nii.gz"), *folder.glob("*_dseg.nii")])
    if not maps:
        raise DataError(folder, "no *_dseg.nii.gz in it", remedy)
    return maps


def load_label_maps(training: Training, table: "LabelTable") -> list[NDArray[np.int16]]:
    """Return the label maps that train a network, each checked.

    Raises
    ------
    brainnet.io.DataError
        As `load_label_map`; a structure of the table is in none of them.

    Warns
    -----
    brainnet.io.DataWarning
        A label map lacks a structure: the network learns that it can be absent.
    """
    maps, seen = [], set()
    for path in training.label_maps:
        maps.append(load_label_map(path, table))
        here = _structures(maps[-1], table)
        seen |= here
        absent = [each for each in table.structures if each not in here]
        if absent:
            warn(path, f"no {', '.join(absent)}", "The network learns that it can be absent")
    never = [each for each in table.structures if each not in seen]
    if never:
        folder = training.label_maps[0].parent
        what = f"no label map has {', '.join(never)}"
        raise DataError(folder, what, "Take it out of the label table, or add a map that has it")
    return maps


def load_label_map(path: Path, table: "LabelTable") -> NDArray[np.int16]:
    """Return a label map at 1 mm, its axes to the right, the front and the top.

    Parameters
    ----------
    path : Path
    table : LabelTable
        Of which it must have some label.

    Returns
    -------
    (nx, ny, nz) int16 array

    Raises
    ------
    brainnet.io.DataError
        Not a sound image of three dimensions; numbers that are not labels; voxels that are not
        1 mm; none of the labels of the table.
    """
    from brainnet.models.voxel.labels import MAX_SOURCE

    img = io.load_img(path, ndim=3)
    data = np.asanyarray(img.dataobj)
    broken = data[~((data >= 0) & (data < MAX_SOURCE) & (data % 1 == 0))]
    if broken.size:
        what = f"holds {broken[0]:g}, and labels are whole numbers from 0 to {MAX_SOURCE - 1}"
        raise DataError(path, what, "Give a label map, resampled by nearest neighbour if at all")
    sizes = np.asarray(img.header.get_zooms()[:3], dtype=float)
    if np.abs(sizes - 1).max() > _TOLERANCE:
        what = f"voxels of {' x '.join(f'{each:.3g}' for each in sizes)} mm, not 1 mm"
        raise DataError(path, what, "Resample it to 1 mm by nearest neighbour")
    labels = np.asarray(nib.as_closest_canonical(img).dataobj, dtype=np.int16)
    if not _structures(labels, table):
        what = "none of the labels of the label table"
        raise DataError(path, what, "Set [data] labels to a table (.tsv) of this map's numbers")
    return labels


def _structures(labels: NDArray[np.int16], table: "LabelTable") -> set[str]:
    """Return the structures of the table that a label map has."""
    there = np.flatnonzero(np.bincount(labels.ravel()))
    found = table.structure_of.numpy()[there]
    return {table.structures[each - 1] for each in set(found[found > 0].tolist())}


def _lineage(folder: Path, held_out: Mapping[str, str]) -> dict[str, Any]:
    """Return what a model is and what trained it; raise where a held-out label map did."""
    card = io.load_json(folder / "card.json")
    found = {
        "weights_sha256": io.sha256(folder / "weights.safetensors"),
        "data": card.get("data"),
        "training": card.get("training", card.get("compressed")),
    }
    model = found
    while model:  # it, the one that it started from, and so on
        trained = _inside(model, "data", "label_maps").values()
        both = [name for name, sha256 in held_out.items() if sha256 in trained]
        if both:
            what = f"[data] held_out map {both[0]} trained it, or the model that it started from"
            raise DataError(folder, what, "Hold out others, or start from another model")
        model = _inside(model, "training", "start") or _inside(model, "training", "from")
    return found


def _inside(card: Any, *names: str) -> dict[str, Any]:
    """Return a table inside a card, empty where there is none."""
    for name in names:
        card = card.get(name) if isinstance(card, dict) else None
    return card if isinstance(card, dict) else {}


def _find_maps(
    path: Path, folder: str, held_out: Collection[str]
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return the label maps of a folder that train, and those that never do."""
    maps = find_label_maps(path.parent / folder, f"Set [data] label_maps in {path.name}")
    stems = {each: each.name.split("_dseg.nii")[0] for each in maps}
    unknown = sorted(set(held_out) - set(stems.values()))
    if unknown:
        what = f"[data] held_out names {unknown[0]!r}, which is not in {folder}"
        raise DataError(path, what, closest(unknown[0], stems.values()))
    kept = tuple(each for each in maps if stems[each] not in held_out)
    if not kept:
        raise DataError(path, "[data] held_out names every label map", "Leave some to train with")
    return kept, tuple(each for each in maps if stems[each] in held_out)


def _sections(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(io.load_text(path))
    except tomllib.TOMLDecodeError as error:
        raise DataError(path, f"is not TOML: {error}", "Correct it at that place") from error
    for name, held in content.items():
        if not isinstance(held, dict):
            remedy = f"Put it under one of [{'], ['.join(_SECTIONS)}]"
            raise DataError(path, f"{name} = {held!r:.40} stands in no section", remedy)
        if name not in _SECTIONS:
            raise DataError(path, f"has no section [{name}]", closest(name, _SECTIONS))
    return content


def _checked(
    path: Path, section: str, given: Mapping[str, Any], known: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a section's values after holding each against one of its kind."""
    for name, value in given.items():
        if name not in known:
            raise DataError(path, f"[{section}] has no {name!r}", closest(name, known))
        kind = type(known[name])
        fits = isinstance(value, (int, float) if kind is float else kind)
        if not fits or isinstance(value, bool):
            what = f"[{section}] {name} is {value!r:.40}"
            raise DataError(path, what, f"Give {_KINDS[kind]}")
    return dict(given)


def _made(path: Path, section: str, content: Mapping[str, Any], kind: type[Any]) -> Any:
    """Return a dataclass filled from a section; what it refuses is an error of the file."""
    plain = kind()
    known = {each.name: getattr(plain, each.name) for each in fields(kind)}
    given = _checked(path, section, content.get(section, {}), known)
    try:
        return kind(**given)
    except ValueError as error:
        raise DataError(path, f"[{section}] {error}", f"Correct it in [{section}]") from error
