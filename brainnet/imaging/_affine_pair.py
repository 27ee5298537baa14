"""Two images at all resolutions, and how each is compared with the other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brainnet.imaging import _affine_grids as grids
from brainnet.imaging._affine_fit import (
    AgreementSide,
    InformationSide,
    Pace,
    Pixels,
    Points,
    Side,
    Way,
)
from brainnet.imaging._affine_starts import Body, body
from brainnet.imaging._fields import Volume

#: An image whose field of view is thinner than this many voxels is not interpolated.
THIN = 3
#: Voxels of less than this share of the other image's volume are finer.
_FINER = 0.7
#: Window of local mean and spread (mm), and the spread of robust residuals in those units.
_WINDOW, _SPREAD = 10.0, 1.0


@dataclass(frozen=True)
class Level:
    """How finely two images are compared."""

    voxel_mm: float
    n_bins: int
    n_points: int
    pace: Pace


#: Finest first. The sketch sees the finest grid at few points: coarse grids can be mistaken by
#: several mm where contrasts differ, so the choice between poses is made there.
FINE = Level(2.0, 32, 60_000, Pace(30, 0.01, 4.0, 1))
SAME = Level(2.0, 32, 50_000, Pace(30, 0.01, 4.0, 1))
SKETCH = Level(2.0, 32, 10_000, Pace(20, 0.1, 4.0))
MIDDLE = Level(4.0, 32, 10_000, Pace(12, 0.2, 8.0))
COARSE = Level(8.0, 16, 3_000, Pace(10, 0.4, 16.0))
SIZES = (2.0, 4.0, 8.0)


class Pair:
    """Two images at all resolutions."""

    def __init__(
        self,
        fixed: Volume,
        moving: Volume,
        fixed_mask: NDArray[np.bool_] | None,
        moving_mask: NDArray[np.bool_] | None,
        *,
        device: str,
    ) -> None:
        self.fixed = grids.pyramid(fixed, fixed_mask, SIZES)
        self.moving = grids.pyramid(moving, moving_mask, SIZES)
        self.device = device
        self._images = (self.fixed, self.moving)
        self._structure = [grids.support(images[-1]) for images in self._images]
        self._regions: dict[tuple[int, int], NDArray[np.bool_]] = {}
        self._binned: dict[tuple[int, int, int], Pixels] = {}
        sizes = [abs(float(np.linalg.det(each.affine[:3, :3]))) for each in (fixed, moving)]
        self._sharper = 1 if sizes[1] < _FINER * sizes[0] else 0

    def bodies(self) -> list[Body]:
        """Return where the structure of either image lies."""
        return [
            body(images[-1].affine, structure, grids.weight(images[-1]))
            for images, structure in zip(self._images, self._structure, strict=True)
        ]

    def ways(self, level: Level, *, same: bool = False, both: bool = True) -> list[Way]:
        """Return the comparisons at one level: fixed points in the moving image, and back.

        One way only, unless ``both``: from the image of finer voxels, the fixed one if alike,
        since the points of a blurred image draw the pose off. An image of one or two slices is
        not interpolated; its points look into the other.
        """
        nears = [near for near in (0, 1) if min(self._images[1 - near][0].data.shape) >= THIN]
        if not both and self._sharper in nears:
            nears = [self._sharper]
        return [self._way(level, near, same=same) for near in nears]

    def _way(self, level: Level, near: int, *, same: bool) -> Way:
        """Return the comparison of one image's points with the other image."""
        i = SIZES.index(level.voxel_mm)
        own, other = self._images[near][i], self._images[1 - near][i]
        data, others = (self._data(i, k, level.n_bins, same=same) for k in (near, 1 - near))
        points = grids.sample_points(own, data, self._region(i, near), level.n_points)
        mask = grids.EVERYWHERE if other.mask is None else other.mask
        side = self._side(points, others, mask, None if same else level.n_bins)
        return Way(side, points.grid, np.asarray(np.linalg.inv(other.affine)), near == 1)

    def _region(self, i: int, near: int) -> NDArray[np.bool_]:
        """Return where an image is compared at one resolution."""
        if (i, near) not in self._regions:
            found = grids.region(self._images[near][i], self._structure[near])
            self._regions[i, near] = found
        return self._regions[i, near]

    def _data(self, i: int, which: int, n_bins: int, *, same: bool) -> Pixels:
        """Return an image in units of bins, or of its local contrast."""
        key = (i, which, 0 if same else n_bins)
        if key not in self._binned:
            grid = self._images[which][i]
            scaled = grids.flatten(grid, _WINDOW) if same else grid.data * np.float32(n_bins - 1)
            self._binned[key] = scaled
        return self._binned[key]

    def _side(self, points: Points, volume: Pixels, mask: Pixels, n_bins: int | None) -> Side:
        """Return the comparison of points with an image: of contrasts if there are no bins."""
        if self.device == "cpu":
            if n_bins is None:
                return AgreementSide(points, volume, mask, _SPREAD)
            return InformationSide(points, volume, mask, n_bins)
        from brainnet.imaging import _affine_torch

        device = "cpu" if self.device == "torch" else self.device
        if n_bins is None:
            return _affine_torch.AgreementSide(points, volume, mask, _SPREAD, device)
        return _affine_torch.InformationSide(points, volume, mask, n_bins, device)
