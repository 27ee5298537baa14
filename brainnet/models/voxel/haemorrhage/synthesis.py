"""Head CT with haemorrhages, synthesised from label maps as a network trains."""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from numpy.typing import NDArray
from torch import Tensor

from brainnet.models.voxel.draws import Draw
from brainnet.models.voxel.haemorrhage.anatomy import MARKS, TISSUES, anatomy_of
from brainnet.models.voxel.haemorrhage.bleeds import BLEEDS, Bleed, grow
from brainnet.models.voxel.haemorrhage.scan import CTScanner, brightness, scan
from brainnet.models.voxel.haemorrhage.scene import Scene, look_up, scene_of
from brainnet.models.voxel.labels import LabelTable

__all__ = ["HaemorrhageSynthesis", "Patients"]

Shape = tuple[int, int, int]

_EIGHTHS = tuple((x, y, z) for x in (-0.25, 0.25) for y in (-0.25, 0.25) for z in (-0.25, 0.25))
_TISSUE = {name: number for number, name in enumerate(TISSUES)}
_VENTRICLES = ("lateral ventricle", "midline ventricle")
_OEDEMA = "perihaematomal oedema"
#: Share of bleeds into the brain without oedema; mm from its blood that oedema reaches: 2 within
#: hours, 6 after days (Lv et al. 2021, Oxid Med Cell Longev 6249509; Venkatasubramanian et al.
#: 2011, Stroke 42:73; of balls of their volumes).
_NO_OEDEMA, _OEDEMA_WIDE = 0.15, (1.5, 10.0)
_FAR = 2**40  # numbers that no training reaches
_MARGIN = 16  # mm
_STRETCHED = 40.0  # mm from the skull within which swelling pushes less


@dataclass(frozen=True)
class Patients:
    """How often what is there; each number is a share of the scans that it is said of.

    Parameters
    ----------
    healthy : float
        Scans without a haemorrhage.
    several : float
        Of the others, those with more than one.
    look_alikes : float
        Chance of each kind of calcium, dense dura and venous blood.
    contrast : float
        Scans after contrast medium.
    swelling : float
        Of those with a haemorrhage, in which the midline is pushed aside beyond what the blood
        itself does; a third as often without one.
    kinds : tuple of float
        Weights of intraparenchymal, intraventricular, subarachnoid, subdural, epidural.

    Raises
    ------
    ValueError
        A share outside [0, 1]; weights that are not five, or below 0, or all 0.
    """

    healthy: float = 0.25
    several: float = 0.35
    look_alikes: float = 0.6
    contrast: float = 0.06
    swelling: float = 0.4
    kinds: tuple[float, ...] = (0.32, 0.13, 0.2, 0.2, 0.15)

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name != "kinds" and not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1]; got {value}.")
        if len(self.kinds) != len(BLEEDS) or min(self.kinds) < 0 or not sum(self.kinds):
            raise ValueError(
                f"kinds must be {len(BLEEDS)} weights, 0 or more and not all 0; got {self.kinds}."
            )


class HaemorrhageSynthesis:
    """Endless head CTs with their truth: ``synthesis[i]`` is always the same sample.

    Parameters
    ----------
    label_maps : sequence of (nx, ny, nz) integer arrays
        Whole heads at 1 mm, RAS (:func:`~brainnet.models.voxel.haemorrhage.anatomy.anatomy_of`).
    table : LabelTable
        With the structures of the package's ``haemorrhage``.
    shapes : sequence of three ints
        Fields of view, voxels: one is drawn for each sample.
    voxel_size : float
        mm.
    patients : Patients, optional
    scanner : CTScanner, optional
    seed : int

    Raises
    ------
    ValueError
        No label map, or one that is no whole head; a table without the structures.

    Examples
    --------
    >>> from brainnet.models.voxel.labels import load_labels
    >>> load_labels("haemorrhage").structures[4:6]
    ('intraparenchymal haemorrhage', 'intraventricular haemorrhage')
    """

    def __init__(
        self,
        label_maps: Sequence[NDArray],
        table: LabelTable,
        *,
        shapes: Sequence[Shape] = ((112, 128, 96),),
        voxel_size: float = 1.5,
        patients: Patients | None = None,
        scanner: CTScanner | None = None,
        seed: int = 0,
    ) -> None:
        if not label_maps:
            raise ValueError("label_maps must not be empty. Give one label map or more.")
        needed = {f"{kind} haemorrhage" for kind in BLEEDS} | {_OEDEMA, "extracerebral CSF"}
        if missing := needed - set(table.structures):
            raise ValueError(f"table must have {', '.join(sorted(missing))}. Load 'haemorrhage'.")
        self.table, self.voxel_size, self.seed = table, voxel_size, seed
        self.shapes: list[Shape] = [(nx, ny, nz) for nx, ny, nz in shapes]
        self.patients, self.scanner = patients or Patients(), scanner or CTScanner()
        self.heads = [anatomy_of(each) for each in label_maps]

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Return sample ``number``.

        ``image`` is ``(1, *shape)`` in [0, 1] (:func:`brightness` of Hounsfield units);
        ``structure`` ``(1 + n_structures, *shape)`` holds the share of each voxel that is
        background and each structure; ``side`` ``(2, *shape)`` the shares that are left and right.
        """
        found = self.patient(number)
        return {
            "image": brightness(found["units"])[None],
            "structure": found["structure"],
            "side": found["side"],
        }

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield samples 0, 1, 2, ... without end."""
        number = 0
        while True:
            yield self[number]
            number += 1

    def patient(self, number: int) -> dict[str, Tensor]:
        """Return a sample with its Hounsfield units ``(*shape)`` in place of the image."""
        draw = Draw(self.seed, number, torch.device("cpu"))
        head = self.heads[draw.integer(len(self.heads))]
        shape = self.shapes[draw.integer(len(self.shapes))]
        mirrored = draw.chance(0.5)
        size = torch.tensor([n * self.voxel_size for n in shape])
        free = ((torch.tensor(head.labels.shape) - 40.0 - size) / 2).clamp(min=0) + 8
        shift = torch.tensor([float(f) * draw.uniform(-1, 1) for f in free])
        scene = scene_of(
            head, shape, voxel_size=self.voxel_size, middle=head.centre + shift, draw=draw,
            mirrored=mirrored,
        )  # fmt: skip
        bleeds = self._bleeds(scene, draw)
        units, structure, side = self._render(scene, bleeds, draw)
        if mirrored:
            side = side.flip(0)
        return {"units": scan(units, scene, self.scanner, draw), "structure": structure,
                "side": side}  # fmt: skip

    def whole(self, voxel_size: float) -> "HaemorrhageSynthesis":
        """Return the same heads, each in a field of view that holds all of it.

        Parameters
        ----------
        voxel_size : float
            mm.
        """
        extent = torch.tensor([each.labels.shape for each in self.heads]).amax(dim=0)
        nx, ny, nz = (math.ceil((int(n) + _MARGIN) / voxel_size) for n in extent)
        found = copy.copy(self)
        found.voxel_size, found.shapes = voxel_size, [(nx, ny, nz)]
        return found

    def shares(self) -> Tensor:
        """Return the mean share of a field of view of background and each structure."""
        found = torch.stack([self.patient(_FAR + each)["structure"].mean(dim=(1, 2, 3))
                             for each in range(12)])  # fmt: skip
        mean = found.mean(dim=0).clamp(min=1e-5)
        return mean / mean.sum()

    def _bleeds(self, scene: Scene, draw: Draw) -> list[Bleed]:
        if not (scene.depth > 0).any() or draw.chance(self.patients.healthy):
            return []
        n_bleeds = 1 + (draw.integer(2) + 1 if draw.chance(self.patients.several) else 0)
        kinds, weights = list(BLEEDS), list(self.patients.kinds)
        found = []
        for _ in range(n_bleeds):
            at = draw.uniform(0, sum(weights))
            place = next(each for each in range(len(kinds)) if sum(weights[: each + 1]) >= at)
            found.append(grow(kinds[place], scene, draw))
            if found[-1].kind == "intraparenchymal" and draw.chance(0.25):
                found.append(grow("intraventricular", scene, draw))
        return found

    def _render(
        self, scene: Scene, bleeds: Sequence[Bleed], draw: Draw
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return Hounsfield units, shares of structures and sides of a head with haemorrhages."""
        moved = torch.zeros_like(scene.places)
        for bleed in bleeds:
            if bleed.moved is not None:
                moved += bleed.moved
        moved[0] -= self._shift(scene, bleeds, draw)
        inside = scene.depth > 0
        places = torch.where(inside, scene.places + moved, scene.places)
        units, structure, side = self._tissue(scene, places, inside, draw)
        for bleed in bleeds:
            share = torch.sigmoid(-bleed.level / (0.35 * scene.step)) * inside
            if bleed.where == "fluid":
                share = share * self._share(structure, ("extracerebral CSF",))
            elif bleed.where == "ventricles":
                share = share * self._share(structure, _VENTRICLES)
            else:
                share = share * (1 - self._share(structure, self._lesions(but=_OEDEMA)))
            if bleed.kind == "intraparenchymal":
                self._swell(scene, bleed, units, structure, draw)
            units = units + share * (bleed.units - units)
            structure = structure * (1 - share)
            structure[self._channel(f"{bleed.kind} haemorrhage")] += share
        return units, structure, side

    def _shift(self, scene: Scene, bleeds: Sequence[Bleed], draw: Draw) -> Tensor:
        """Return how far to the right swelling pushes what lies in each voxel, mm.

        Away from the haemorrhages; without one, to either side.
        """
        if not draw.chance(self.patients.swelling if bleeds else self.patients.swelling / 3):
            return torch.zeros(scene.shape)
        to = 1.0 if draw.chance(0.5) else -1.0
        sides = [float(scene.away[bleed.level < 0].sum()) for bleed in bleeds]
        if any(sides):
            to = -math.copysign(1.0, sum(sides))
        apart = scene.places - scene.head.centre[:, None, None, None]
        _, y, z = (apart[axis] - draw.uniform(-12, 12) for axis in range(3))
        reach = ((y / draw.uniform(35, 60)) ** 2 + (z / draw.uniform(25, 50)) ** 2) / 2
        held = (scene.depth / _STRETCHED).clamp(0, 1)
        return to * draw.uniform(1, 18) * held * torch.exp(-reach)

    def _tissue(
        self, scene: Scene, places: Tensor, inside: Tensor, draw: Draw
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Average what eight places in each voxel hold."""
        head = scene.head
        mean = torch.tensor([m + s * draw.normal() for m, s in TISSUES.values()])
        fluid = int(((head.label_of == 24) & (head.mark_of == 0)).nonzero()[0])
        lost = (head.label_of == 0) | (head.label_of > 500)
        fat = (head.tissue_of == _TISSUE["fat"]) & (head.label_of > 500)
        structure_of = self.table.structure_of[head.label_of]
        side_of = self.table.side_of[head.label_of]
        marks = self._marks(scene, draw)
        n_voxels, within = inside.numel(), inside.flatten()
        units = torch.zeros(n_voxels)
        structure = torch.zeros(1 + self.table.n_structures, n_voxels)
        side = torch.zeros(3, n_voxels)
        eighth = torch.full((1, n_voxels), 1 / 8)
        muscle = (scene.noise(15.0, draw) > draw.uniform(-0.5, 1.0)).flatten()
        for corner in _EIGHTHS:
            offset = scene.step * torch.tensor(corner)[:, None, None, None]
            codes = look_up(head.codes, places + offset, outside=0).flatten().long()
            # what was pushed out of the skull, or is named so, is fluid
            codes = torch.where(within & lost[codes], fluid, codes)
            found = mean[head.tissue_of[codes]]
            found[fat[codes] & muscle] = mean[_TISSUE["soft"]]
            for mark, (where, bright) in marks.items():
                here = (head.mark_of == mark)[codes] & where
                found[here] = bright[here]
            units += found
            codes = torch.where(within, codes, 0)
            structure.scatter_add_(0, structure_of[codes][None], eighth)
            side.scatter_add_(0, side_of[codes][None], eighth)
        return (
            (units / 8).reshape(scene.shape),
            structure.reshape(-1, *scene.shape),
            side[1:].reshape(2, *scene.shape),
        )

    def _marks(self, scene: Scene, draw: Draw) -> dict[int, tuple[Tensor, Tensor]]:
        """Return where each mark that is seen is bright, and its Hounsfield units, flat."""
        found: dict[int, tuple[Tensor, Tensor]] = {}
        likely = self.patients.look_alikes
        contrast = draw.uniform(50, 110) if draw.chance(self.patients.contrast) else 0.0
        fine = scene.noise(5.0, draw).flatten()
        for number, name in enumerate(MARKS[1:], start=1):
            if name in ("sinus", "falx", "tentorium"):
                if not contrast and not draw.chance(likely):
                    continue
                bright = draw.uniform(48, 72) + contrast + 3 * fine
                if name == "falx" and draw.chance(likely / 3):  # plaques
                    bright = torch.where(fine > 1.2, draw.uniform(120, 500), bright)
                found[number] = (torch.ones_like(fine, dtype=torch.bool), bright)
            elif draw.chance(likely if name != "pallidum" else likely / 4):
                least = draw.uniform(-1, 1) if name == "pineal gland" else draw.uniform(0.3, 1.6)
                found[number] = (fine > least, torch.full_like(fine, draw.uniform(60, 350)))
        return found

    def _swell(
        self, scene: Scene, bleed: Bleed, units: Tensor, structure: Tensor, draw: Draw
    ) -> None:
        """Put oedema around a haemorrhage in the brain."""
        if draw.chance(_NO_OEDEMA):
            return
        wide = math.exp(draw.uniform(*map(math.log, _OEDEMA_WIDE)))
        reach = bleed.level - wide * (1 + 0.5 * scene.noise(12.0, draw))
        brain = self._channel("brain")
        share = torch.sigmoid(-reach / (0.5 * scene.step)) * structure[brain]
        units -= share * draw.uniform(6, 16)
        structure[brain] -= share
        structure[self._channel(_OEDEMA)] += share

    def _channel(self, structure: str) -> int:
        return 1 + self.table.structures.index(structure)

    def _lesions(self, *, but: str) -> list[str]:
        return [f"{kind} haemorrhage" for kind in BLEEDS if kind != but]

    def _share(self, structure: Tensor, names: Sequence[str]) -> Tensor:
        return structure[[self._channel(each) for each in names]].sum(dim=0)
