"""Heads that variants of a segmentation network are calibrated, trained and scored on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brainnet import io
from brainnet.io.files import warn
from brainnet.workflows.train_config import find_label_maps, load_label_map

if TYPE_CHECKING:
    from torch import Tensor

    from brainnet.models.core.compress.compare import Yardstick
    from brainnet.models.voxel.haemorrhage.synthesis import HaemorrhageSynthesis
    from brainnet.models.voxel.labels import LabelTable
    from brainnet.models.voxel.synthesis import HeadSynthesis

    Synthesis = HeadSynthesis | HaemorrhageSynthesis

__all__ = ["Images", "make_images", "mean_dice", "simple_head"]

Shape = tuple[int, int, int]
Maps = Sequence[NDArray[np.int16]]
#: Contrasts of the images that score, in turn.
_CONTRASTS = ("T1w", "T2w", "FLAIR")
#: What the images that score show, by whether they are head CT.
_SEEN: Mapping[bool, dict[str, Any]] = {
    False: {"contrasts": list(_CONTRASTS)},
    True: {"contrasts": ["CT"], "haemorrhages": "in each"},
}
#: Of the simple head: numbers on the left and the right, centre and radii in mm; x as on the right.
_ELLIPSOIDS = (
    (509, 509, (0, 0, 0), (82, 100, 92)),  # skin
    (508, 508, (0, 0, 4), (77, 95, 87)),  # bone
    (24, 24, (0, 0, 6), (71, 88, 80)),
    (3, 42, (34, 0, 14), (33, 84, 62)),
    (2, 41, (33, 0, 14), (28, 76, 54)),
    (4, 43, (11, 0, 20), (8, 32, 9)),
    (14, 14, (0, -4, 4), (3, 14, 9)),
    (10, 49, (11, -14, 6), (8, 13, 9)),
    (11, 50, (14, 20, 10), (6, 16, 9)),
    (12, 51, (27, 4, 2), (6, 17, 10)),
    (13, 52, (19, 0, 0), (4, 10, 7)),
    (28, 60, (9, -16, -8), (6, 10, 6)),
    (17, 53, (27, -22, -12), (7, 19, 6)),
    (18, 54, (24, 0, -16), (8, 9, 8)),
    (5, 44, (33, -26, -8), (3, 16, 4)),
    (26, 58, (9, 14, -4), (5, 6, 5)),
    (8, 47, (26, -62, -36), (24, 26, 20)),
    (7, 46, (22, -60, -36), (13, 15, 10)),
    (16, 16, (0, -28, -34), (12, 13, 26)),
    (15, 15, (0, -42, -36), (5, 5, 12)),
)


@dataclass(frozen=True)
class Images:
    """Synthesised heads to learn from and, of other anatomies, to score on.

    Parameters
    ----------
    table : LabelTable
    learning, scoring : HeadSynthesis or HaemorrhageSynthesis
    n_images : int
        That score, and that calibrate.
    notes : dict
        Where they come from, for the record.
    """

    table: "LabelTable"
    learning: "Synthesis"
    scoring: "Synthesis"
    n_images: int
    notes: dict[str, Any]

    def calibration(self) -> list["Tensor"]:
        """Return ``(1, 1, nx, ny, nz)`` images such as the network will meet."""
        return [self.learning[number]["image"][None] for number in range(self.n_images)]

    def yardstick(self) -> "Yardstick":
        """Return what scores: images, probabilities of labels, mean Dice."""
        from brainnet.models.core.compress.compare import Yardstick

        samples = [self.scoring[number] for number in range(self.n_images)]
        batches = [{name: each[None] for name, each in sample.items()} for sample in samples]
        return Yardstick(
            batches,
            self.table.probabilities,
            lambda probabilities, batch: mean_dice(probabilities, batch, self.table),
        )


def make_images(
    card: Mapping[str, Any],
    *,
    label_maps: Path | None,
    shape: Shape,
    n_images: int,
    seed: int = 0,
) -> Images:
    """Return images for a network.

    Parameters
    ----------
    card : mapping
        Of the network: task, label table, voxel size, and which label maps it never saw.
    label_maps : Path or None
        Folder of ``*_dseg.nii.gz``. Those that the card calls held out score, the others teach; of
        maps that are all one kind, the first half teaches and the second scores. Without a folder
        a simple head does both; of head CT, one that comes with the package's dependencies.
    shape : tuple of int
        Field of view, voxels.
    n_images : int
    seed : int

    Raises
    ------
    brainnet.io.DataError
        No label map in the folder, or a damaged one.
    ValueError
        The simple head has no structure of the label table.

    Warns
    -----
    brainnet.io.DataWarning
        The label maps that score are not known to be held out, or there is one only.
    """
    from brainnet.models.voxel.labels import LabelTable, load_labels

    labels = card.get("labels", "brain")
    table = load_labels(labels) if isinstance(labels, str) else LabelTable.from_rows(labels)
    is_ct = card.get("task") == "haemorrhage"
    learning, scoring, notes = _anatomies(card, label_maps, table, is_ct=is_ct)
    common: dict[str, Any] = {"shapes": [shape], "voxel_size": float(card.get("voxel_size", 2.0))}
    make = _bleeding_heads if is_ct else _heads
    first, second = make(learning, scoring, table, seed, common)
    notes |= {"n_images": n_images, "shape": list(shape)}
    return Images(table, first, second, n_images, notes | _SEEN[is_ct])


def _heads(
    learning: Maps, scoring: Maps, table: "LabelTable", seed: int, common: dict[str, Any]
) -> tuple["Synthesis", "Synthesis"]:
    from brainnet.models.voxel.synthesis import HeadSynthesis, Scanner

    plain = replace(Scanner(), p_known=1.0, p_stripped=0.0, p_lesion=0.0, p_cut=0.0)
    return (
        HeadSynthesis(learning, table, seed=seed, **common),
        HeadSynthesis(scoring, table, seed=seed + 1, scanner=plain, contrasts=_CONTRASTS, **common),
    )


def _bleeding_heads(
    learning: Maps, scoring: Maps, table: "LabelTable", seed: int, common: dict[str, Any]
) -> tuple["Synthesis", "Synthesis"]:
    from brainnet.models.voxel.haemorrhage.synthesis import HaemorrhageSynthesis, Patients

    bleeding = Patients(healthy=0.0)
    return (
        HaemorrhageSynthesis(learning, table, seed=seed, **common),
        HaemorrhageSynthesis(scoring, table, seed=seed + 1, patients=bleeding, **common),
    )


def mean_dice(probabilities: "Tensor", batch: Mapping[str, "Tensor"], table: "LabelTable") -> float:
    """Return the Dice overlap of labels with the truth, averaged over those that there are.

    Parameters
    ----------
    probabilities : (n_batch, n_labels + 1, nx, ny, nz) tensor
    batch : mapping
        ``structure`` and ``side`` as :class:`~brainnet.models.voxel.synthesis.HeadSynthesis`
        gives them.
    table : LabelTable
    """
    import torch

    found = probabilities.argmax(dim=1)
    structure = batch["structure"].argmax(dim=1)
    right = batch["side"].argmax(dim=1)  # where there is a side at all
    place = torch.zeros((1 + table.n_structures, 2), dtype=torch.int64)
    rows = zip(table.regions["structure"], table.regions["side"], strict=True)
    for number, (name, side) in enumerate(rows, 1):
        channel = 1 + table.structures.index(name)
        place[channel, {"left": [0], "right": [1]}.get(side, [0, 1])] = number
    truth = place[structure, right]
    scores = []
    for number in torch.bincount(truth.flatten()).nonzero().flatten().tolist():
        if number:
            here, there = found == number, truth == number
            scores.append(float(2 * (here & there).sum() / (here.sum() + there.sum())))
    return sum(scores) / len(scores) if scores else 1.0


def simple_head() -> NDArray[np.int16]:
    """Return a label map at 1 mm of a head made of ellipsoids, FreeSurfer numbers, RAS.

    No substitute for anatomy: it shows what a variant costs, not how well it segments.
    """
    middle = np.array([96, 112, 104])
    labels = np.zeros(2 * middle + 1, dtype=np.int16)
    for left, right, centre, radii in _ELLIPSOIDS:
        for number, side in ((left, -1), (right, 1)):
            place = np.multiply(centre, (side, 1, 1))
            edges = [slice(low, high) for low, high in zip(middle + place - radii,
                                                           middle + place + radii + 1,
                                                           strict=True)]  # fmt: skip
            x, y, z = np.ogrid[tuple(slice(-r, r + 1) for r in radii)]
            inside = (x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2 <= 1
            labels[tuple(edges)][inside & (side * (x + place[0]) >= 0)] = number
    return labels


def _known_head() -> NDArray[np.int16]:
    from brainnet.simulate.head_ct import head_label_map

    return head_label_map()


def _anatomies(
    card: Mapping[str, Any], folder: Path | None, table: "LabelTable", *, is_ct: bool
) -> tuple[list[NDArray[np.int16]], list[NDArray[np.int16]], dict[str, Any]]:
    """Return label maps to learn from, label maps to score on, and what they are."""
    if folder is None:
        head = _known_head() if is_ct else simple_head()
        if not int(table.structure_of[np.unique(head)].sum()):
            raise ValueError(
                "label_maps must be given: the simple head has no structure of the label table."
            )
        what = "with the brain of a template" if is_ct else "made of ellipsoids"
        return [head], [head], {"anatomies": f"one simple head {what}"}
    learning, scoring, unseen = _split(find_label_maps(folder), card)
    if not unseen:
        what = "no map in it that the network never saw and that none learns from"
        warn(folder, what, "Scores may be too good")
    notes = {
        "scored_on_unseen": unseen,
        "learned_from": {path.name: io.sha256(path) for path in learning},
        "scored_on": {path.name: io.sha256(path) for path in scoring},
    }
    first, second = ([load_label_map(p, table) for p in paths] for paths in (learning, scoring))
    return first, second, notes


def _split(paths: Sequence[Path], card: Mapping[str, Any]) -> tuple[list[Path], list[Path], bool]:
    """Return label maps to learn from and to score on, and whether these were never seen."""
    never_seen = set(card.get("data", {}).get("held_out", {}).values())
    held_out = [path for path in paths if io.sha256(path) in never_seen]
    others = [path for path in paths if path not in held_out]
    if held_out and others:
        return others, held_out, True
    half = len(paths) // 2
    return list(paths[:half] or paths), list(paths[half:]), bool(held_out) and half > 0
