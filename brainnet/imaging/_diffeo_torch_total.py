"""What ends a deformable registration, in torch: invert, look for folds; as in `_diffeo_total`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainnet.imaging import _diffeo_total as ends

Matrix = NDArray[np.float64]


def locate(shape: Sequence[int], point: Any) -> tuple[Any, Any]:
    """Return the flat index of the cell that holds each point, and the position within it."""
    import torch

    size = torch.tensor(shape, device=point.device)[:, None]
    inside = torch.minimum(point.clamp(min=0.0), (size - 1).double())
    low = torch.minimum(inside.long(), size - 2)
    return (low[0] * shape[1] + low[1]) * shape[2] + low[2], (inside - low).float()


def value_at(field: Any, corner: Any, part: Any) -> Any:
    """Interpolate a field (3, X, Y, Z) linearly within cells: (3, points) float32."""
    import torch

    f_x, f_y, f_z = part
    values = []
    for flat in field.reshape(3, -1):
        near, rise = _edges(flat, field.shape, corner)
        c00, c01, c10, c11 = (a.addcmul_(f_z, g) for a, g in zip(near, rise, strict=True))
        c0, c1 = c00.addcmul_(f_y, c01.sub_(c00)), c10.addcmul_(f_y, c11.sub_(c10))
        values.append(c0.addcmul_(f_x, c1.sub_(c0)))
    return torch.stack(values)


def slope_at(field: Any, corner: Any, part: Any) -> Any:
    """Differentiate a field (3, X, Y, Z) within cells: (part, axis, points) float32."""
    import torch

    f_x, f_y, f_z = part
    slopes = []
    for flat in field.reshape(3, -1):
        near, rise = _edges(flat, field.shape, corner)
        g00, g01, g10, g11 = rise
        c00, c01, c10, c11 = (a.addcmul_(f_z, g) for a, g in zip(near, rise, strict=True))
        across, low, high = c10 - c00, c01 - c00, c11 - c10
        by_x = across + f_y * ((c11 - c01) - across)
        by_y = low + f_x * (high - low)
        g0, g1 = g00 + f_y * (g01 - g00), g10 + f_y * (g11 - g10)
        slopes.append(torch.stack([by_x, by_y, g0 + f_x * (g1 - g0)]))
    return torch.stack(slopes)


def _edges(flat: Any, shape: Sequence[int], corner: Any) -> tuple[list[Any], list[Any]]:
    """Return the values at the beginning of a cell's four edges along z, and their rise."""
    s_x, s_y = shape[-2] * shape[-1], shape[-1]
    starts = [corner + step for step in (0, s_y, s_x, s_x + s_y)]
    near = [flat.index_select(0, start) for start in starts]
    far = (flat.index_select(0, start.add_(1)) for start in starts)
    return near, [b.sub_(a) for a, b in zip(near, far, strict=True)]


def find_again(field: Any, goal: Any) -> tuple[Any, float]:
    """Return the points (3, points) that a field takes to ``goal``, and the worst error.

    Newton's method, as in `_diffeo_total.total`; points that are found leave the search.
    """
    import torch

    shape = field.shape[1:]
    point = goal - value_at(field, *locate(shape, goal))
    sought = torch.arange(goal.shape[1], device=goal.device)
    worst = last = 0.0
    for attempt in range(ends.TRIES + 1):
        here = point[:, sought]
        corner, part = locate(shape, here)
        error = here + value_at(field, corner, part) - goal[:, sought]
        left = error.abs().amax(0)
        missed = left >= ends.CLOSE
        worst, last = max(worst, float((left * ~missed).max())), float(left.max())
        if last < ends.CLOSE or attempt == ends.TRIES:
            break
        more = missed.nonzero()[:, 0]
        sought, error = sought[more], error[:, more]
        step, determinant = _solve(slope_at(field, corner[more], part[:, more]).double(), error)
        steep = (determinant < ends.STEEP) | (attempt > ends.PATIENCE)
        move = torch.where(steep, 0.5 * error, step.clamp(-ends.STRIDE, ends.STRIDE))
        point[:, sought] = here[:, more] - move
    return point, max(worst, last)


def _solve(slope: Any, error: Any) -> tuple[Any, Any]:
    """Solve (I + slope) step = error by cofactors; return the determinant too."""
    import torch

    (a, b, c), (d, e, f), (g, h, i) = slope
    a, e, i = a + 1.0, e + 1.0, i + 1.0
    c0, c1, c2 = e * i - f * h, f * g - d * i, d * h - e * g
    determinant = a * c0 + b * c1 + c * c2
    x, y, z = error
    step = torch.stack(
        [
            c0 * x + (c * h - b * i) * y + (b * f - c * e) * z,
            c1 * x + (a * i - c * g) * y + (c * d - a * f) * z,
            c2 * x + (b * g - a * h) * y + (a * e - b * d) * z,
        ]
    )
    return step / determinant, determinant


def determinant(field: Any, to_voxel: Matrix) -> Any:
    """Return the determinant of I + the derivatives of a field (3, X, Y, Z) at each voxel."""
    import torch

    slopes = []
    for axis in (1, 2, 3):
        span = torch.full(field.shape[axis : axis + 1], 2.0, device=field.device).double()
        span[0] = span[-1] = 1.0  # one-sided
        view = [-1 if a == axis else 1 for a in range(4)]
        slopes.append(rise(field, axis).double().div_(span.view(view)))
    u, v, w = slopes
    j = [u * a + v * b + w * c for a, b, c in to_voxel[:3, :3].T.tolist()]  # j[s][r]
    for s in range(3):
        j[s][s] += 1.0
    (a, d, g), (b, e, h), (c, f, i) = j
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def rise(data: Any, axis: int) -> Any:
    """Return the voxel after minus the voxel before along an axis, itself beyond a face."""
    import torch

    n = data.shape[axis]
    count = torch.arange(n, device=data.device)
    after = data.index_select(axis, (count + 1).clamp(max=n - 1))
    return after.sub_(data.index_select(axis, (count - 1).clamp(min=0)))
