"""What a training is told: a TOML file, read and checked, and the label maps that it names."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from brainnet import io
from brainnet.io import DataError
from brainnet.io.files import warn
from brainnet.workflows.config import closest
from brainnet.workflows.train_sections import checked, made, read_sections

if TYPE_CHECKING:
    from brainnet.models.core.recipe import Recipe
    from brainnet.models.voxel.labels import LabelTable
    from brainnet.models.voxel.losses import LossTerms
    from brainnet.models.voxel.synthesis import Scanner

__all__ = [
    "Settings",
    "Synthesis",
    "Training",
    "find_label_maps",
    "lineage",
    "load_label_map",
    "load_label_maps",
    "load_training",
    "read_settings",
]

_SECTIONS = ("data", "card", "network", "synthesis", "scanner", "loss", "recipe", "start")
_DATA = {"label_maps": "", "held_out": [""], "labels": "", "source": "", "licence": ""}
_CARD = {"intended_use": "", "not_for": "", "licence": ""}
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
class Settings:
    """What the training of any task is told, every path resolved.

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
            "loss": _terms(self.loss),
            "recipe": self.recipe.record(),
            "label_maps": {path.name: io.sha256(path) for path in self.label_maps},
            "held_out": held_out,
            "start": None if self.start is None else lineage(self.start, held_out),
        }


@dataclass(frozen=True)
class Training(Settings):
    """A training of the brain's segmentation, as its file tells it.

    Parameters
    ----------
    synthesis : Synthesis
    scanner : Scanner
    """

    synthesis: Synthesis
    scanner: "Scanner"

    def record(self) -> dict[str, Any]:
        """Return all that decides the result, as :meth:`Settings.record`."""
        images = {"synthesis": asdict(self.synthesis), "scanner": asdict(self.scanner)}
        return super().record() | images


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
    from brainnet.models.voxel.synthesis import Scanner

    path = Path(path)
    content = read_sections(path, _SECTIONS)
    data = checked(path, "data", content.get("data", {}), _DATA)
    labels = data.get("labels", "brain")
    return Training(
        **read_settings(path, content, data),
        labels=str(path.parent / labels) if labels.endswith(".tsv") else labels,
        synthesis=made(path, "synthesis", content, Synthesis),
        scanner=made(path, "scanner", content, Scanner),
    )


def read_settings(
    path: Path, content: Mapping[str, Any], data: Mapping[str, Any], *, task: str = "brain",
    others: Collection[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Return what :class:`Settings` holds but for ``labels``, by name, each value checked.

    Parameters
    ----------
    path : Path
        The file.
    content : mapping
        Its sections (:func:`read_sections`).
    data : mapping
        Of them ``data``, checked.
    task : str
        Whose recipe is named where something is missing.
    others : collection of str
        What else than label maps ``held_out`` may name. Where there is any, a training without
        label maps is one too.

    Raises
    ------
    brainnet.io.DataError
        As :func:`load_training`.
    """
    from brainnet.models.core.recipe import Recipe
    from brainnet.models.voxel.losses import LossTerms

    card = checked(path, "card", content.get("card", {}), _CARD)
    network = checked(path, "network", content.get("network", {}), {"name": "", "options": {}})
    start = checked(path, "start", content.get("start", {}), {"model": ""})
    if ("label_maps" not in data and not others) or len(network) < 2:
        what = "[data] label_maps, [network] name and [network.options] must all be set"
        raise DataError(path, what, f"brainnet train {task} --print-recipe prints a file to edit")
    maps, held_out = _find_maps(path, data, others)
    return {
        "path": path,
        "label_maps": maps,
        "held_out": held_out,
        "network": network,
        "loss": made(path, "loss", content, LossTerms),
        "recipe": made(path, "recipe", content, Recipe),
        "start": _start(path.parent, start["model"]) if start else None,
        "texts": {
            "source": data.get("source", ""), "data_licence": data.get("licence", ""), **card
        },
    }  # fmt: skip


def _terms(loss: "LossTerms") -> dict[str, Any]:
    """Return the terms of a loss as JSON holds them; those that are optional if they are used."""
    terms = {name: list(value) if isinstance(value, tuple) else value
             for name, value in asdict(loss).items()}  # fmt: skip
    unused = {"midline"} if not loss.midline else set()
    unused |= set() if loss.joined else {"joined", "joined_weight"}
    return {name: value for name, value in terms.items() if name not in unused}


def _start(folder: Path, model: str) -> Path:
    """Return the folder of a model: one beside the file, or a network of the package."""
    own = folder / model
    packaged = Path(str(resources.files("brainnet.models.voxel") / "weights")) / model
    is_name = model == Path(model).name and (packaged / "card.json").is_file()
    return packaged if is_name and not own.exists() else own


def find_label_maps(folder: Path, remedy: str = "Give a folder of label maps") -> list[Path]:
    """Return the label maps of a folder, ``*_dseg.nii.gz``; raise a DataError if there is none."""
    maps = sorted([*folder.glob("*_dseg.nii.gz"), *folder.glob("*_dseg.nii")])
    if not maps:
        raise DataError(folder, "no *_dseg.nii.gz in it", remedy)
    return maps


def load_label_maps(
    training: Settings, table: "LabelTable", *, painted: Collection[str] = ()
) -> list[NDArray[np.int16]]:
    """Return the label maps that train a network, each checked.

    Parameters
    ----------
    training : Settings
    table : LabelTable
    painted : collection of str
        Structures that the synthesis adds: no label map needs them.

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
        absent = [each for each in table.structures if each not in {*here, *painted}]
        if absent:
            warn(path, f"no {', '.join(absent)}", "The network learns that it can be absent")
    never = [each for each in table.structures if each not in {*seen, *painted}]
    if maps and never:
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


def lineage(folder: Path, held_out: Mapping[str, str], *, kind: str = "map") -> dict[str, Any]:
    """Return what a model is and what trained it.

    Parameters
    ----------
    folder : Path
        Of the model.
    held_out : mapping
        Hash of each file that must not have trained it, or what it started from, by its name.
    kind : str
        What these are, for the error.

    Raises
    ------
    brainnet.io.DataError
        One of them did.
    """
    card = io.load_json(folder / "card.json")
    found = {
        "weights_sha256": io.sha256(folder / "weights.safetensors"),
        "data": card.get("data"),
        "training": card.get("training", card.get("compressed")),
    }
    model = found
    while model:  # it, the one that it started from, and so on
        scans = _inside(model, "data", "scans").get("sha256", [])
        trained = {*_inside(model, "data", "label_maps").values(), *scans}
        both = [name for name, sha256 in held_out.items() if sha256 in trained]
        if both:
            what = f"[data] held_out {kind} {both[0]} trained it, or the model that it started from"
            raise DataError(folder, what, "Hold out others, or start from another model")
        model = _inside(model, "training", "start") or _inside(model, "training", "from")
    return found


def _inside(card: Any, *names: str) -> dict[str, Any]:
    """Return a table inside a card, empty where there is none."""
    for name in names:
        card = card.get(name) if isinstance(card, dict) else None
    return card if isinstance(card, dict) else {}


def _find_maps(
    path: Path, data: Mapping[str, Any], others: Collection[str]
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return the label maps of a folder that train, and those that never do."""
    folder, held_out = data.get("label_maps"), [*map(str, data.get("held_out", []))]
    remedy = f"Set [data] label_maps in {path.name}"
    maps = [] if folder is None else find_label_maps(path.parent / folder, remedy)
    stems = {each: each.name.split("_dseg.nii")[0] for each in maps}
    known = {*stems.values(), *others}
    unknown = sorted(set(held_out) - known)
    if unknown:
        what = f"[data] held_out names {unknown[0]!r}, which is not in {folder or 'the scans'}"
        raise DataError(path, what, closest(unknown[0], sorted(known)))
    kept = tuple(each for each in maps if stems[each] not in held_out)
    if maps and not kept:
        raise DataError(path, "[data] held_out names every label map", "Leave some to train with")
    return kept, tuple(each for each in maps if stems[each] in held_out)
