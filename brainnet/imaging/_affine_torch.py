"""The comparisons of `_affine_fit` in torch: the same sums over points, on a graphics processor."""

from typing import Any

import numpy as np

from brainnet.imaging._affine_fit import Array, Pixels, Points


class _TorchSide:
    """Samples of an image at points, and sums over them."""

    def __init__(self, points: Points, volume: Pixels, mask: Pixels, device: str) -> None:
        import torch

        self._torch, self._device = torch, device
        index = self._load(points.index)
        self._points = torch.cat([index, torch.ones_like(index[:, :1])], 1)
        self._values = self._load(points.values)
        self._volume, self._mask = self._load(volume), self._load(mask)
        self._forces = self._curvature = self._gradients = self._points
        self._total, self._value = 0.0, 0.0

    def gradient(self) -> Array:
        """Return the derivative of the similarity, (12,)."""
        self._gradients, self._forces, self._curvature = self._force()
        sums = self._forces.double().T @ self._points.double()
        return np.asarray(sums.cpu().numpy().ravel() / max(self._total, 1e-9))

    def curvature(self) -> Array:
        """Return the curvature at the matrix that ``gradient`` was last asked about, (12, 12)."""
        arms = (self._gradients[:, :, None] * self._points[:, None]).flatten(1).double()
        sums = arms.T @ (arms * self._curvature[:, None])
        return np.asarray(sums.cpu().numpy() / max(self._total, 1e-9))

    def _load(self, data: Any) -> Any:
        """Return an array as a tensor on the device."""
        return self._torch.as_tensor(np.ascontiguousarray(data), device=self._device)

    def _force(self) -> tuple[Any, Any, Any]:
        """Return the gradient of the samples, the force on each point, and its curvature."""
        raise NotImplementedError

    def _sample(self, matrix: Array) -> tuple[Any, Any, Any, Any]:
        """Return value, gradient, weight and its gradient at the points."""
        torch = self._torch
        place = self._points @ self._load(matrix.astype(np.float32)).T
        size = torch.tensor(self._volume.shape, device=self._device)
        low, high = place + 0.5, size - 0.5 - place
        into = torch.minimum(low, high)
        side = torch.where(low < high, 1.0, -1.0) * (into < 1)
        inside = into.clamp(0, 1)
        weight = inside.prod(1)
        slope = (
            torch.stack(
                [
                    side[:, a] * inside[:, b] * inside[:, c]
                    for a, b, c in ((0, 1, 2), (1, 0, 2), (2, 0, 1))
                ],
                1,
            )
            * (weight > 0)[:, None]
        )
        place = torch.minimum(place.clamp(min=0), size - 1.0)
        corner = torch.minimum(place.long(), size - 2).clamp(min=0)
        share = place - corner
        value, gradient = self._interpolate(self._volume, corner, share)
        if self._mask.numel() > 1:
            part, change = self._interpolate(self._mask, corner, share)
            slope = slope * part[:, None] + weight[:, None] * change
            weight = weight * part
        return value, gradient, weight, slope

    def _interpolate(self, volume: Any, corner: Any, share: Any) -> tuple[Any, Any]:
        """Return value and gradient by linear interpolation from a corner."""
        torch = self._torch
        n_x, n_y, n_z = volume.shape
        (i, j, k), (x, y, z) = corner.unbind(1), share.unbind(1)
        top = [torch.clamp(a + 1, max=n - 1) for a, n in ((i, n_x), (j, n_y), (k, n_z))]
        flat = volume.reshape(-1)
        c = {
            (p, q, r): flat[(a * n_y + b) * n_z + d]
            for p, a in enumerate((i, top[0]))
            for q, b in enumerate((j, top[1]))
            for r, d in enumerate((k, top[2]))
        }
        d = {(p, q): c[p, q, 1] - c[p, q, 0] for p in (0, 1) for q in (0, 1)}
        e = {(p, q): c[p, q, 0] + z * d[p, q] for p in (0, 1) for q in (0, 1)}
        g = [e[p, 1] - e[p, 0] for p in (0, 1)]
        h = [e[p, 0] + y * g[p] for p in (0, 1)]
        low, high = (d[p, 0] + y * (d[p, 1] - d[p, 0]) for p in (0, 1))
        gradient = torch.stack([h[1] - h[0], g[0] + x * (g[1] - g[0]), low + x * (high - low)], 1)
        return h[0] + x * (h[1] - h[0]), gradient


class InformationSide(_TorchSide):
    """Mutual information as in `_affine_fit.InformationSide`."""

    def __init__(
        self, points: Points, volume: Pixels, mask: Pixels, n_bins: int, device: str
    ) -> None:
        super().__init__(points, volume, mask, device)
        bins = np.clip(np.rint(points.values), 0, n_bins - 1).astype(np.int64)
        self._rows = self._load(bins) * (n_bins + 3)
        self._n_bins = n_bins

    def compare(self, matrix: Array) -> tuple[float, float]:
        """Return mutual information and overlap."""
        torch = self._torch
        self._sampled = value, _, weight, _ = self._sample(matrix)
        low = value.long().clamp(0, self._n_bins - 1)
        t = value - low
        s = 1 - t
        self._place, self._share = self._rows + low, t
        spline = (s**3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * s**2 + 3 * s**3, t**3)
        joint = torch.zeros(
            self._n_bins * (self._n_bins + 3), dtype=torch.float64, device=self._device
        )
        for k, part in enumerate(spline):
            joint.index_add_(0, self._place + k, (part * weight / 6).double())
        self._total = float(joint.sum())
        joint = joint.reshape(self._n_bins, -1) / max(self._total, 1e-9)
        product = joint.sum(1, keepdim=True) * joint.sum(0)
        ratio = torch.log((joint + 1e-12) / (product + 1e-12))
        self._value, self._table = float((joint * ratio).sum()), ratio.float().ravel()
        return self._value, self._total / len(self._points)

    def _force(self) -> tuple[Any, Any, Any]:
        """Return the gradient of the samples, the force on each point, and its curvature."""
        _, gradient, weight, slope = self._sampled
        t = self._share
        s = 1 - t
        a, b, c, d = (self._table[self._place + k] for k in range(4))
        rise = 0.5 * (t**2 * d - s**2 * a + (3 * t**2 - 4 * t) * b - (3 * s**2 - 4 * s) * c)
        bend = s * a + (3 * t - 2) * b + (3 * s - 2) * c + t * d
        cubes = (s**3 * a, (4 - 6 * t**2 + 3 * t**3) * b, (4 - 6 * s**2 + 3 * s**3) * c, t**3 * d)
        gain = (sum(cubes) / 6 - self._value) * (weight > 0)
        force = (weight * rise)[:, None] * gradient + gain[:, None] * slope
        return gradient, force, weight * (-bend).clamp(min=0)


class AgreementSide(_TorchSide):
    """Agreement as in `_affine_fit.AgreementSide`."""

    def __init__(
        self, points: Points, volume: Pixels, mask: Pixels, spread: float, device: str
    ) -> None:
        super().__init__(points, volume, mask, device)
        self._spread = spread

    def compare(self, matrix: Array) -> tuple[float, float]:
        """Return agreement (0 to 1) and overlap."""
        self._sampled = value, _, weight, _ = self._sample(matrix)
        self._residual = self._values - value
        self._likeness = self._torch.exp(-0.5 * (self._residual / self._spread) ** 2)
        self._total = float(weight.double().sum())
        self._value = float((weight * self._likeness).double().sum()) / max(self._total, 1e-9)
        return self._value, self._total / len(self._points)

    def _force(self) -> tuple[Any, Any, Any]:
        """Return the gradient of the samples, the force on each point, and its curvature."""
        _, gradient, weight, slope = self._sampled
        curvature = self._likeness * weight / self._spread**2
        gain = (self._likeness - self._value) * (weight > 0)
        force = (curvature * self._residual)[:, None] * gradient + gain[:, None] * slope
        return gradient, force, curvature
