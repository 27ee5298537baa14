"""Images synthesised from label maps as a network trains: any contrast, any resolution.

Every sample is decided by its number and the seed alone, so that training can stop anywhere and
go on with what would have come next.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brainnet.models.voxel.contrast import CONTRASTS, draw_contrast
from brainnet.models.voxel.degrade import acquire, bias_field, blur, smooth_noise
from brainnet.models.voxel.draws import Draw, affine_matrix
from brainnet.models.voxel.labels import MAX_SOURCE, LabelTable
from brainnet.models.voxel.normalise import normalise

__all__ = ["HeadSynthesis", "Scanner"]

_Shape = tuple[int, int, int]

#: Voxels that a field of view must have along each axis.
_LEAST = 8

#: Places in a voxel, in voxels from its centre, at which the label map is looked up.
_EIGHTHS = tuple((x, y, z) for x in (-0.25, 0.25) for y in (-0.25, 0.25) for z in (-0.25, 0.25))


@dataclass(frozen=True)
class Scanner:
    """How far synthesised images may go; each number bounds a draw.

    Parameters
    ----------
    rotation : float
        Standard deviation of the angle about each axis, degrees.
    scaling, shearing : float
        Standard deviation of the logarithm of the scale, and of the shear, of each axis.
    shift : float
        Standard deviation of the position of the brain in the field of view, mm.
    warp : float
        Standard deviation of the displacement of a warp, mm.
    bias : float
        Largest strength of a bias field (standard deviation of its logarithm).
    noise : float
        Largest standard deviation of the noise, where white matter of a T1w image is 0.85.
    spacing : float
        Largest spacing of slices, mm.
    p_known : float
        Share of images with a known contrast; the others have one drawn for every tissue alone.
    p_stripped, p_lesion, p_cut : float
        Shares of images without skull, with lesions, and cut by the field of view.

    Raises
    ------
    ValueError
        A number below 0; a share above 1.
    """

    rotation: float = 10.0
    scaling: float = 0.1
    shearing: float = 0.05
    shift: float = 8.0
    warp: float = 2.0
    bias: float = 0.5
    noise: float = 0.1
    spacing: float = 6.0
    p_known: float = 0.6
    p_stripped: float = 0.25
    p_lesion: float = 0.25
    p_cut: float = 0.1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            most = 1 if name.startswith("p_") else math.inf
            if not 0 <= value <= most:
                limit = "in [0, 1]" if most == 1 else "0 or more"
                raise ValueError(f"{name} must be {limit}; got {value}.")


class HeadSynthesis:
    """Endless training samples from label maps: ``synthesis[i]`` is always the same sample.

    Parameters
    ----------
    label_maps : sequence of (nx, ny, nz) integer arrays
        At 1 mm, RAS, in the source numbers of ``table``; other numbers are background to the
        network and tissue to the image.
    table : LabelTable
    shapes : sequence of three ints
        Fields of view, voxels: one is drawn for each sample.
    voxel_size : float
        Of the field of view, mm.
    scanner : Scanner, optional
        How images vary.
    contrasts : sequence of str, optional
        Known contrasts to draw from; all by default.
    seed : int
    device : str or torch.device
        Where samples are made. Each kind of device has random numbers of its own, so a GPU's
        samples are not a CPU's.

    Raises
    ------
    ValueError
        No label map; one that is not three-dimensional and whole-numbered or has no structure of
        the table; a field of view of fewer than 8 voxels along an axis; an unknown contrast.

    Examples
    --------
    >>> from brainnet.models.voxel.labels import load_labels
    >>> label_map = np.zeros((40, 40, 40), dtype=np.int16)
    >>> label_map[10:30, 10:30, 10:30] = 2  # white matter
    >>> synthesis = HeadSynthesis([label_map], load_labels("brain"), shapes=[(16, 16, 16)])
    >>> sample = synthesis[7]
    >>> {name: tuple(each.shape) for name, each in sample.items()}
    {'image': (1, 16, 16, 16), 'structure': (19, 16, 16, 16), 'side': (2, 16, 16, 16)}
    >>> bool((sample["image"] == synthesis[7]["image"]).all())
    True
    """

    def __init__(
        self,
        label_maps: Sequence[NDArray],
        table: LabelTable,
        *,
        shapes: Sequence[_Shape] = ((80, 96, 80),),
        voxel_size: float = 2.0,
        scanner: Scanner | None = None,
        contrasts: Sequence[str] = tuple(CONTRASTS),
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        if not label_maps:
            raise ValueError("label_maps must not be empty. Give one label map or more.")
        _check_views(shapes, voxel_size, contrasts)
        self.table, self.voxel_size = table, voxel_size
        self.shapes: list[_Shape] = [(nx, ny, nz) for nx, ny, nz in shapes]
        self.scanner = scanner or Scanner()
        self.contrasts, self.seed, self.device = tuple(contrasts), seed, torch.device(device)
        self._structure_of = table.structure_of.to(self.device)
        self._side_of = table.side_of.to(self.device)
        self._maps = [self._prepare(each) for each in label_maps]

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Return sample ``number``.

        ``image`` is ``(1, *shape)`` in [0, 1]; ``structure`` ``(1 + n_structures, *shape)`` holds
        the share of each voxel that is background and each structure; ``side`` ``(2, *shape)``
        the shares that are left and right.
        """
        draw = Draw(self.seed, number, self.device)
        labels, centre = self._maps[draw.integer(len(self._maps))]
        known = draw.chance(self.scanner.p_known) and self.contrasts
        contrast = self.contrasts[draw.integer(len(self.contrasts))] if known else None
        mean, spread = draw_contrast(self.table.twin_of, draw.scalars, contrast=contrast)
        mirrored = draw.chance(0.5)
        shape = self.shapes[draw.integer(len(self.shapes))]
        places, steps = self._places(shape, centre, mirrored, draw)
        image, structure, side = self._look_up(labels, places, steps, mean, spread, draw)
        if mirrored:
            side = side.flip(0)
        image = self._pathology(image, structure, draw)
        image, structure, side = self._field_of_view(image, structure, side, draw)
        image = self._scan(image, contrast, draw)
        return {"image": image[None], "structure": structure, "side": side}

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield samples 0, 1, 2, ... without end."""
        number = 0
        while True:
            yield self[number]
            number += 1

    def shares(self) -> Tensor:
        """Return the share of a mean field of view that is background and each structure."""
        counts = torch.zeros(1 + self.table.n_structures)
        for labels, _ in self._maps:
            found = self._structure_of[labels.long()].flatten().cpu()
            counts += torch.bincount(found, minlength=counts.numel())
        voxels = sum(math.prod(shape) for shape in self.shapes) / len(self.shapes)
        shares = counts / (len(self._maps) * voxels * self.voxel_size**3)
        shares[0] = max(0.1, 1 - float(shares[1:].sum()))
        return shares / shares.sum()

    def _prepare(self, label_map: NDArray) -> tuple[Tensor, Tensor]:
        """Return a label map with a border of background, and the middle of what is segmented."""
        given = np.asarray(label_map)
        whole = given.ndim == 3 and given.dtype.kind in "iu" and given.size > 0
        if not whole or given.min() < 0 or given.max() >= MAX_SOURCE:
            raise ValueError(
                f"label_maps must be three-dimensional, in whole numbers from 0 to "
                f"{MAX_SOURCE - 1}; got {given.dtype} of shape {given.shape}. Load label maps."
            )
        labels = torch.from_numpy(np.pad(given.astype(np.int16), 1)).to(self.device)
        where = (self._structure_of[labels.long()] > 0).nonzero().float()
        if not len(where):
            raise ValueError("label_maps must each hold a structure of the table; one has none.")
        # a few stray voxels must not move the middle: quantiles, not extremes
        sample = where[:: max(1, len(where) // 100_000)]
        ends = torch.quantile(sample, torch.tensor([0.005, 0.995], device=self.device), dim=0)
        return labels, ends.mean(dim=0)

    def _places(
        self, shape: _Shape, centre: Tensor, mirrored: bool, draw: Draw
    ) -> tuple[Tensor, Tensor]:
        """Return where each voxel lies in the label map ``(3, *shape)``, and a voxel's steps there.

        Column ``k`` of the steps is what a step along axis ``k`` of the image moves in the map.
        """
        limits = self.scanner
        angles = [math.radians(limits.rotation) * draw.normal() for _ in range(3)]
        scales = [math.exp(limits.scaling * draw.normal()) for _ in range(3)]
        shears = [limits.shearing * draw.normal() for _ in range(3)]
        steps = self.voxel_size * affine_matrix(angles, scales, shears)
        if mirrored:
            steps[:, 0] *= -1
        shift = torch.tensor([limits.shift * draw.normal() for _ in range(3)])
        steps = steps.to(self.device)
        axes = [torch.arange(n, device=self.device) - (n - 1) / 2 for n in shape]
        start = centre + shift.to(self.device)
        places = torch.stack(
            [
                start[k]
                + (steps[k, 0] * axes[0])[:, None, None]
                + (steps[k, 1] * axes[1])[None, :, None]
                + (steps[k, 2] * axes[2])[None, None, :]
                for k in range(3)
            ]
        )
        strength = limits.warp * abs(draw.normal())
        nodes = 3 + draw.integer(8)  # from bends of the whole head to those of a gyrus
        for each in places:
            each += strength * smooth_noise(shape, (nodes,) * 3, draw.fields)
        return places, steps

    def _look_up(
        self,
        labels: Tensor,
        places: Tensor,
        steps: Tensor,
        mean: Tensor,
        spread: Tensor,
        draw: Draw,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Average what eight places in each voxel hold: brightness and shares."""
        mean, spread = mean.to(self.device), spread.to(self.device)
        n_voxels = places[0].numel()
        image = torch.zeros(n_voxels, device=self.device)
        texture = torch.zeros_like(image)
        structure = torch.zeros((1 + self.table.n_structures, n_voxels), device=self.device)
        side = torch.zeros((3, n_voxels), device=self.device)
        eighth = torch.full((1, n_voxels), 1 / 8, device=self.device)
        flat = labels.flatten()
        for corner in _EIGHTHS:
            offset = steps @ torch.tensor(corner, device=self.device)
            index = torch.zeros(n_voxels, dtype=torch.int64, device=self.device)
            for axis, size in enumerate(labels.shape):
                nearest = (places[axis].flatten() + offset[axis]).round_().clamp_(0, size - 1)
                index = index * size + nearest.long()
            found = flat[index].long()
            image += mean[found]
            texture += spread[found]
            structure.scatter_add_(0, self._structure_of[found][None], eighth)
            side.scatter_add_(0, self._side_of[found][None], eighth)
        image = (image + texture * draw.noise((n_voxels,))) / 8
        return (
            image.reshape(places[0].shape),
            structure.reshape(-1, *places[0].shape),
            side[1:].reshape(2, *places[0].shape),
        )

    def _pathology(self, image: Tensor, structure: Tensor, draw: Draw) -> Tensor:
        """Put blobs of one strange brightness into the brain, as lesions, blood or tumours are."""
        if not draw.chance(self.scanner.p_lesion):
            return image
        nodes = 6 + draw.integer(15)
        field = smooth_noise(_shape(image), (nodes,) * 3, draw.fields)
        inside = (1 - structure[0]) * ((field - draw.uniform(1.2, 2.5)) * 4).clamp(0, 1)
        return image + inside * (draw.uniform(-0.2, 1.2) - image)

    def _field_of_view(
        self, image: Tensor, structure: Tensor, side: Tensor, draw: Draw
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take the skull away, or cut the image off at one end."""
        if draw.chance(self.scanner.p_stripped):
            image = image * self._stripped(structure, draw)
        if draw.chance(self.scanner.p_cut):
            axis = 1 + draw.integer(2)
            n_cut = int(image.shape[axis] * draw.uniform(0.05, 0.3))
            start = 0 if draw.chance(0.5) else image.shape[axis] - n_cut
            image.narrow(axis, start, n_cut).zero_()
            structure.narrow(axis + 1, start, n_cut).zero_()[0] = 1
            side.narrow(axis + 1, start, n_cut).zero_()
        return image, structure, side

    def _stripped(self, structure: Tensor, draw: Draw) -> Tensor:
        """Return a mask of the brain as tools leave it: with or without fluid, tight or loose."""
        brain = 1 - structure[0]
        fluid = [i for i, name in enumerate(self.table.structures, 1) if "extracerebral" in name]
        if fluid and draw.chance(0.5):
            brain = brain - structure[fluid].sum(dim=0)
        width = draw.uniform(0.5, 4)
        return (blur(brain, (width,) * 3) > draw.uniform(0.15, 0.6)).float()

    def _scan(self, image: Tensor, contrast: str | None, draw: Draw) -> Tensor:
        """Add the marks of a scanner and bring the brightness to [0, 1]."""
        limits = self.scanner
        image = image * bias_field(_shape(image), limits.bias * draw.uniform(0, 1), draw.fields)
        if contrast == "PET":
            image = blur(image, (draw.uniform(4, 7) / self.voxel_size,) * 3)
        spacing = self._spacing(draw)
        noise = limits.noise * draw.uniform(0, 1) ** 2
        image = acquire(image, spacing, noise, draw.fields)
        image = normalise(image, low=draw.uniform(0, 0.02), high=draw.uniform(0.98, 1))
        return image ** math.exp(0.3 * draw.normal())

    def _spacing(self, draw: Draw) -> tuple[float, float, float]:
        """Draw the scanner's voxels: fine, coarse, or thick slices along one axis; in voxels."""
        largest = max(1.0, self.scanner.spacing / self.voxel_size)
        kind = draw.uniform(0, 1)
        if kind < 0.5:
            return (1.0, 1.0, 1.0)
        if kind < 0.75:
            return (draw.uniform(1, 1 + (largest - 1) / 2),) * 3
        spacing = [1.0, 1.0, 1.0]
        spacing[draw.integer(3)] = draw.uniform(1, largest)
        return (spacing[0], spacing[1], spacing[2])


def _check_views(shapes: Sequence[_Shape], voxel_size: float, contrasts: Sequence[str]) -> None:
    """Raise for fields of view or contrasts that cannot be synthesised."""
    sound = [
        isinstance(each, (list, tuple))
        and len(each) == 3
        and all(isinstance(n, int) and n >= _LEAST for n in each)
        for each in shapes
    ]
    if not sound or not all(sound):
        raise ValueError(
            f"shapes must be three whole numbers of {_LEAST} or more each; got {list(shapes)}. "
            "Give fields of view in voxels, such as (80, 96, 80)."
        )
    if not 0 < voxel_size < math.inf:
        raise ValueError(f"voxel_size must be positive; got {voxel_size}. Give it in mm.")
    unknown = [each for each in contrasts if str(each) not in CONTRASTS]
    if unknown:
        raise ValueError(f"contrasts must be of {', '.join(CONTRASTS)}; got {unknown[0]!r}.")


def _shape(image: Tensor) -> _Shape:
    nx, ny, nz = image.shape
    return nx, ny, nz
