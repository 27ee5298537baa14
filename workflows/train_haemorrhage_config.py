"""What a training on head CT is told: label maps, scans of patients, or both."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainnet import io
from brainnet.io import DataError
from brainnet.workflows.config import closest
from brainnet.workflows.train_config import Settings, lineage, read_settings
from brainnet.workflows.train_sections import checked, made, read_sections

if TYPE_CHECKING:
    from brainnet.models.voxel.haemorrhage.datasets import Case, Dataset
    from brainnet.models.voxel.haemorrhage.scan import CTScanner
    from brainnet.models.voxel.haemorrhage.synthesis import Patients

__all__ = ["HaemorrhageTraining", "HeadCTs", "PatientData", "load_haemorrhage_training"]

_SECTIONS = ("data", "card", "network", "synthesis", "patients", "scanner", "loss", "recipe",
             "start")  # fmt: skip
_DATA = {
    "label_maps": "", "held_out": [""], "source": "", "licence": "", "scans": "", "layout": "",
    "share_of_scans": 0.5, "labels_of_slices": "", "labels": {},
}  # fmt: skip
_OF_SCANS = ("layout", "share_of_scans", "labels_of_slices", "labels")


@dataclass(frozen=True)
class HeadCTs:
    """What is synthesised or cut out of scans: fields of view, and how many samples an epoch.

    Parameters
    ----------
    voxel_size : float
        mm.
    shapes : sequence of three ints
        Fields of view, voxels; one is drawn for each sample.
    n_an_epoch : int
        Samples.
    balance : float
        How far small structures weigh more in the loss at the start, 0 to 1; it falls to 0
        half-way through.
    n_judged : int
        Whole heads, synthesised too, on which volumes' intervals and probabilities are fitted
        after the training.
    """

    voxel_size: float = 2.0
    shapes: list[Any] = field(default_factory=lambda: [[80, 96, 80]])
    n_an_epoch: int = 100
    balance: float = 0.0
    n_judged: int = 0

    def __post_init__(self) -> None:
        if self.n_an_epoch < 1:
            raise ValueError(f"n_an_epoch must be 1 or more; got {self.n_an_epoch}.")
        if self.n_judged < 0:
            raise ValueError(f"n_judged must be 0 or more; got {self.n_judged}.")
        if not 0 <= self.balance <= 1:
            raise ValueError(f"balance must be in [0, 1]; got {self.balance}.")
        if not self.voxel_size > 0:
            raise ValueError(f"voxel_size must be above 0; got {self.voxel_size}.")
        for shape in self.shapes:
            whole = isinstance(shape, list) and all(type(each) is int for each in shape)
            if not whole or len(shape) != 3 or min(shape) < 1:
                raise ValueError(f"shapes must be three whole numbers each; got {shape!r}.")
        if not self.shapes:
            raise ValueError("shapes must be one or more; got none.")


@dataclass(frozen=True)
class PatientData:
    """Scans of patients that train a network.

    Parameters
    ----------
    folder : Path
    layout : str
    share : float
        Of the samples.
    dataset : Dataset
        Those that train.
    held_out : tuple of Case
        Those that never do.
    labels_of_slices : Path or None
    """

    folder: Path
    layout: str
    share: float
    dataset: "Dataset"
    held_out: "tuple[Case, ...]"
    labels_of_slices: Path | None

    def record(self) -> dict[str, Any]:
        """Return all that decides the result, as JSON holds it: files by name and hash."""
        masks = [each.mask for each in self.dataset.cases if each.mask is not None]
        table = self.labels_of_slices
        meanings = sorted(self.dataset.meanings.items())
        return {
            "layout": self.layout,
            "share": self.share,
            "meanings": {str(number): list(names) for number, names in meanings},
            "images": self._hashes([each.image for each in self.dataset.cases]),
            "masks": self._hashes(masks),
            "labels_of_slices": None if table is None else io.sha256(table),
            "held_out": self._hashes([each.image for each in self.held_out]),
        }

    def _hashes(self, paths: list[Path]) -> dict[str, str]:
        return {each.relative_to(self.folder).as_posix(): io.sha256(each) for each in paths}


@dataclass(frozen=True)
class HaemorrhageTraining(Settings):
    """A training on head CT, as its file tells it.

    Parameters
    ----------
    synthesis : HeadCTs
    patients : Patients
    scanner : CTScanner
    scans : PatientData or None
    """

    synthesis: HeadCTs
    patients: "Patients"
    scanner: "CTScanner"
    scans: PatientData | None

    def record(self) -> dict[str, Any]:
        """Return all that decides the result, as :meth:`Settings.record`.

        Raises
        ------
        brainnet.io.DataError
            As there; and where a held-out scan trained the model to start from.
        """
        parts = {name: asdict(getattr(self, name)) for name in ("synthesis", "patients", "scanner")}
        parts["patients"]["kinds"] = list(self.patients.kinds)
        scans = None if self.scans is None else self.scans.record()
        if self.start is not None and scans is not None:
            lineage(self.start, scans["held_out"], kind="scan")
        return super().record() | parts | {"scans": scans}


def load_haemorrhage_training(path: Path | str) -> HaemorrhageTraining:
    """Return the training on head CT that a TOML file describes.

    Parameters
    ----------
    path : path
        As ``brainnet train haemorrhage --print-recipe`` prints one. Paths in it are relative to
        it.

    Raises
    ------
    brainnet.io.DataError
        As :func:`~brainnet.workflows.train_config.load_training`; neither label maps nor scans;
        no such layout; an image without a mask or labels of its slices; a number in a mask that
        means no structure.
    """
    from brainnet.models.voxel.haemorrhage.scan import CTScanner
    from brainnet.models.voxel.haemorrhage.synthesis import Patients

    path = Path(path)
    content = read_sections(path, _SECTIONS)
    data = checked(path, "data", content.get("data", {}), _DATA)
    synthesis = made(path, "synthesis", content, HeadCTs)
    scans = _scans(path, data)
    names = [] if scans is None else [each.name for each in scans.dataset.cases]
    settings = read_settings(path, content, data, task="haemorrhage", others=names)
    return HaemorrhageTraining(
        **settings,
        labels="haemorrhage",
        synthesis=synthesis,
        patients=made(path, "patients", content, Patients),
        scanner=made(path, "scanner", content, CTScanner),
        scans=None if scans is None else _kept(path, scans, [*map(str, data.get("held_out", []))]),
    )


def _scans(path: Path, data: Mapping[str, Any]) -> PatientData | None:
    """Return the scans that the file names, held out or not."""
    from brainnet.models.voxel.haemorrhage.datasets import LAYOUTS, find_dataset

    if "scans" not in data:
        lone = [name for name in _OF_SCANS if name in data]
        if lone:
            what = f"[data] {lone[0]} is set, and [data] scans is not"
            raise DataError(path, what, "Set [data] scans to the folder of the scans")
        return None
    layout, share = data.get("layout", "pairs"), float(data.get("share_of_scans", 0.5))
    if layout not in LAYOUTS:
        raise DataError(path, f"[data] layout is {layout!r}", closest(layout, LAYOUTS))
    if not 0 < share <= 1:
        what = f"[data] share_of_scans must be in (0, 1]; got {share:g}"
        raise DataError(path, what, "Leave [data] scans out to train without scans")
    table = data.get("labels_of_slices")
    folder, table = path.parent / data["scans"], None if table is None else path.parent / table
    meanings = _meanings(path, data["labels"]) if "labels" in data else None
    dataset = find_dataset(folder, layout, meanings=meanings, labels=table)
    return PatientData(folder, layout, share, dataset, (), table)


def _meanings(path: Path, given: Mapping[str, Any]) -> dict[int, list[str]]:
    """Return what numbers in masks mean, each held against the label table."""
    from brainnet.models.voxel.haemorrhage.scans import members_of
    from brainnet.models.voxel.labels import load_labels

    found, table = {}, load_labels("haemorrhage")
    for number, names in given.items():
        if not number.isdecimal():
            what = f"[data.labels] {number!r} is not a number in a mask"
            raise DataError(path, what, 'Write lines such as 1 = "subdural haemorrhage"')
        found[int(number)] = list(names) if isinstance(names, list) else [names]
        try:
            members_of(found[int(number)], table)
        except (ValueError, TypeError) as error:
            raise DataError(path, f"[data.labels] {number}: {error}", "Correct it") from error
    if not any(found):
        what = "[data.labels] has no number but 0"
        raise DataError(path, what, 'Write lines such as 1 = "subdural haemorrhage"')
    return found


def _kept(path: Path, scans: PatientData, held_out: list[str]) -> PatientData:
    """Return scans without those that never train."""
    cases = scans.dataset.cases
    kept = tuple(each for each in cases if each.name not in held_out)
    if not kept:
        raise DataError(path, "[data] held_out names every scan", "Leave some to train with")
    apart = tuple(each for each in cases if each.name in held_out)
    return replace(scans, dataset=replace(scans.dataset, cases=kept), held_out=apart)
