"""A BOLD run from a planted network, with planted motion, drift and nuisance signals.

A volume is one interpolation of the subject's own anatomy, seen through the scanner's point
spread: what moves is the head, not an image that was sampled before.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage, sparse

from brainnet.imaging.motion import matrices_from_parameters
from brainnet.simulate.anatomy import Anatomy, image, smooth_field
from brainnet.simulate.connectome import PlantedNetwork, band_limited, regional_signals

Floats = NDArray[np.float64]

_CONTRAST: Final = {"CSF": 1.15, "GM": 0.9, "WM": 0.7}  # relative T2*-weighted intensity
_GREY_INTENSITY: Final = 1000.0
_NEURAL: Final = 0.02  # standard deviation of a region's signal, share of the intensity
_NUISANCE: Final = {"WM": 0.008, "CSF": 0.02}
_NUISANCE_IN_GREY: Final = 0.004  # of either nuisance signal, share of the grey intensity
_DRIFT: Final = 0.01
_FWHM_TO_SIGMA: Final = 1.0 / np.sqrt(8.0 * np.log(2.0))


@dataclass(frozen=True, eq=False)
class BoldTruth:
    """What is known of a simulated run.

    Attributes
    ----------
    motion : (n_timepoints, 4, 4) array
        Map a point of the reference head (the first volume) to where it stands in each volume,
        RAS mm; the first is the identity.
    boldref_to_t1w : (4, 4) array
        Maps a point of the reference volume's world to the T1w image's world, RAS mm.
    timeseries : (n_timepoints, n_regions) array
        Neural signals before anything else, standard deviation about 1.
    planted : (n_regions, n_regions) array
        The population correlation that the signals were drawn from.
    realised : (n_regions, n_regions) array
        Their sample correlation: what a perfect pipeline would find in this run.
    """

    motion: Floats
    boldref_to_t1w: Floats
    timeseries: Floats
    planted: Floats
    realised: Floats


def simulate_bold(
    anatomy: Anatomy,
    network: PlantedNetwork,
    indices: NDArray[np.int64],
    *,
    n_timepoints: int = 150,
    t_r: float = 2.0,
    voxel_size: float = 4.0,
    tsnr: float = 80.0,
    seed: int = 0,
) -> tuple[Nifti1Image, BoldTruth]:
    """Return a simulated run and its truth.

    Parameters
    ----------
    anatomy : Anatomy
        The subject; ``labels_img`` says where each regional signal goes.
    network : PlantedNetwork
        Its correlation is planted.
    indices : (n_regions,) array of int
        Labels in the order of the network.
    n_timepoints, t_r : int, float
        Volumes, and seconds between them. All slices are acquired at once: there is no slice
        timing to correct.
    voxel_size : float
        Isotropic, in mm, at least the voxel size of the anatomy.
    tsnr : float
        Grey-matter intensity over the standard deviation of the thermal noise in a voxel.
    seed : int
        Of everything random.

    Returns
    -------
    bold_img : Nifti1Image
        int16, 4-D; Rician noise outside the head.
    truth : BoldTruth
        Motion, coregistration, signals, network.

    Raises
    ------
    ValueError
        If the voxels are smaller than the anatomy's, there are fewer than 10 volumes, or
        ``indices`` does not fit the network.
    """
    resolution = float(anatomy.t1w_img.affine[0, 0])
    _check(network, indices, n_timepoints, voxel_size, resolution)
    rng = np.random.default_rng([seed, 4])
    band = (0.01, min(0.1, 0.5 / t_r))
    timeseries = regional_signals(network.correlation, n_timepoints, t_r=t_r, band=band, seed=seed)
    truth = BoldTruth(
        motion=_motion(n_timepoints, _centre(anatomy.t1w_img), rng),
        boldref_to_t1w=_misalignment(_centre(anatomy.t1w_img), rng),
        timeseries=timeseries,
        planted=network.correlation,
        realised=np.asarray(np.corrcoef(timeseries.T), dtype=np.float64),
    )
    scene = _Scene(anatomy, indices, voxel_size, rng)
    slow = _slow_signals(n_timepoints, t_r, seed)
    data = _acquire(scene, truth, slow, sigma=_GREY_INTENSITY / tsnr, rng=rng)
    bold_img = image(data, scene.affine)
    bold_img.header.set_zooms((voxel_size, voxel_size, voxel_size, t_r))
    return bold_img, truth


class _Scene:
    """The head as the scanner sees it: a resting image and what each signal adds to it.

    Everything is blurred by the point spread (full width one voxel) on the grid of the anatomy
    before it is sampled, so sampling it at any pose is accurate.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        indices: NDArray[np.int64],
        voxel_size: float,
        rng: np.random.Generator,
    ) -> None:
        resolution = float(anatomy.t1w_img.affine[0, 0])
        self._sigma = voxel_size * _FWHM_TO_SIGMA / resolution
        self._stride = max(1, int(0.5 * voxel_size / resolution))
        tissue = {
            name: np.asanyarray(img.dataobj) * (_CONTRAST[name] / _CONTRAST["GM"])
            for name, img in anatomy.tissue_imgs.items()
        }
        labels = np.asanyarray(anatomy.labels_img.dataobj)
        rest = self._see(sum(tissue.values(), start=np.zeros(labels.shape)))
        self.shape = rest.shape
        self.t1w_affine = np.asarray(anatomy.t1w_img.affine) @ np.diag([*[self._stride] * 3, 1])
        rest *= np.exp(0.08 * smooth_field(rest.shape, self._stride * resolution, 40.0, rng))
        self.rest = ndimage.spline_filter(rest, order=3)
        self.grid, self.affine = _bold_grid(anatomy.t1w_img, voxel_size)
        self.parts = sparse.hstack(
            [
                self._regions(tissue["GM"], labels, indices),
                self._column(_NUISANCE["WM"] * self._see(tissue["WM"])),
                self._column(_NUISANCE["CSF"] * self._see(tissue["CSF"])),
                self._column(_NUISANCE_IN_GREY * self._see(tissue["GM"])),
                *self._drifts(rest, resolution, rng),
            ],
            format="csr",
        )

    def _see(self, data: NDArray[np.floating]) -> Floats:
        """Blur by the point spread and keep what the blur leaves to know."""
        seen = ndimage.gaussian_filter(data.astype(np.float64), self._sigma, mode="constant")
        return np.asarray(seen[:: self._stride, :: self._stride, :: self._stride])

    def _column(self, field: Floats) -> sparse.csr_matrix:
        return sparse.csr_matrix(np.where(field > 1e-5, field, 0.0).reshape(-1, 1))

    def _regions(
        self, grey: NDArray[np.floating], labels: NDArray[np.int32], indices: NDArray[np.int64]
    ) -> sparse.csc_matrix:
        """One column a region: its grey matter as the scanner sees it."""
        margin = int(np.ceil(4 * self._sigma)) + self._stride
        boxes = ndimage.find_objects(labels, max_label=int(max(indices.max(), labels.max())))
        columns = []
        for index in indices:
            box = boxes[int(index) - 1]
            field = np.zeros(self.shape)
            if box is not None:
                start = [max(0, (s.start - margin) // self._stride * self._stride) for s in box]
                wide = tuple(slice(a, s.stop + margin) for a, s in zip(start, box, strict=True))
                seen = self._see(grey[wide] * (labels[wide] == index))
                place = tuple(
                    slice(a // self._stride, a // self._stride + size)
                    for a, size in zip(start, seen.shape, strict=True)
                )
                field[place] = _NEURAL * seen
            columns.append(self._column(field))
        return sparse.hstack(columns, format="csc")

    def _drifts(
        self, rest: Floats, resolution: float, rng: np.random.Generator
    ) -> list[sparse.csr_matrix]:
        """Two smooth patterns of scanner drift."""
        voxel = self._stride * resolution
        patterns = [smooth_field(rest.shape, voxel, 25.0, rng) for _ in range(2)]
        head = rest * (rest > 1e-3)
        return [sparse.csr_matrix((_DRIFT * head * p).reshape(-1, 1)) for p in patterns]


def _acquire(
    scene: _Scene, truth: BoldTruth, slow: Floats, *, sigma: float, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Sample the head at its pose in every volume and add the receiver's noise."""
    signals = np.hstack([truth.timeseries, slow])
    n_timepoints = len(signals)
    voxels, points = _near_the_head(scene, truth.boldref_to_t1w)
    data = np.empty((*scene.grid, n_timepoints), dtype=np.int16)
    to_index = np.linalg.inv(scene.t1w_affine) @ truth.boldref_to_t1w
    for t in range(n_timepoints):
        matrix = to_index @ np.linalg.inv(truth.motion[t])
        index = matrix[:3, :3] @ points + matrix[:3, 3:]
        change = (scene.parts @ signals[t]).reshape(scene.shape)
        volume = np.zeros(scene.grid)
        volume[voxels] = ndimage.map_coordinates(scene.rest, index, order=3, prefilter=False)
        volume[voxels] += ndimage.map_coordinates(change, index, order=1)
        real = volume * _GREY_INTENSITY + sigma * rng.standard_normal(scene.grid, dtype=np.float32)
        imaginary = sigma * rng.standard_normal(scene.grid, dtype=np.float32)
        data[..., t] = np.rint(np.hypot(real, imaginary))
    return data


def _near_the_head(
    scene: _Scene, boldref_to_t1w: Floats
) -> tuple[tuple[NDArray[np.int64], ...], Floats]:
    """Voxels of the BOLD grid that the head can reach, and their world points (3, n)."""
    voxels = np.indices(scene.grid).reshape(3, -1)
    points = scene.affine[:3, :3] @ voxels + scene.affine[:3, 3:]
    matrix = np.linalg.inv(scene.t1w_affine) @ boldref_to_t1w
    size = scene.t1w_affine[0, 0]
    reach = ndimage.grey_dilation(scene.rest, size=2 * int(np.ceil(8.0 / size)) + 1)
    index = matrix[:3, :3] @ points + matrix[:3, 3:]
    near = ndimage.map_coordinates(reach, index, order=0) > 1e-3
    return tuple(voxels[:, near]), points[:, near]


def _slow_signals(n_timepoints: int, t_r: float, seed: int) -> Floats:
    """White matter, fluid, their trace in grey matter, and two drifts: (n_timepoints, 5)."""
    band = (0.01, min(0.2, 0.5 / t_r))
    nuisance = band_limited(n_timepoints, 2, t_r=t_r, band=band, seed=seed + 1)
    phase = np.linspace(-1.0, 1.0, n_timepoints)
    drift = np.stack([phase, 1.5 * phase**2 - 0.5], axis=1)
    return np.hstack([nuisance, nuisance.sum(axis=1, keepdims=True), drift])


def _motion(n_timepoints: int, centre: Floats, rng: np.random.Generator) -> Floats:
    """Slow drift of the head and a few sudden moves that stay, below 2 mm and 2 degrees."""
    steps = rng.standard_normal((n_timepoints, 6))
    drift = ndimage.gaussian_filter1d(np.cumsum(steps, axis=0), 4.0, axis=0)
    drift -= drift[0]
    drift /= np.abs(drift).max(axis=0)
    jumps = np.zeros((n_timepoints, 6))
    for start in rng.integers(n_timepoints // 10, n_timepoints, 3):
        jumps[start:] += rng.uniform(-0.35, 0.35, 6)
    tremor = 0.02 * rng.standard_normal((n_timepoints, 6))
    parameters = rng.uniform(0.3, 0.7, 6) * drift + jumps + tremor
    parameters -= parameters[0]
    parameters[:, 3:] = np.deg2rad(parameters[:, 3:])
    return np.asarray(matrices_from_parameters(parameters, center=centre))


def _misalignment(centre: Floats, rng: np.random.Generator) -> Floats:
    """Rigid displacement between two series of one session: a few mm and degrees."""
    parameters = np.concatenate([rng.uniform(-4, 4, 3), np.deg2rad(rng.uniform(-3, 3, 3))])
    return np.asarray(matrices_from_parameters(parameters, center=centre))


def _centre(img: Nifti1Image) -> Floats:
    """World coordinates of the middle of an image."""
    middle = (np.array(img.shape[:3]) - 1) / 2
    return np.asarray(img.affine[:3, :3] @ middle + img.affine[:3, 3])


def _bold_grid(t1w_img: Nifti1Image, voxel_size: float) -> tuple[tuple[int, ...], Floats]:
    """Grid of ``voxel_size`` with the field of view and the centre of the T1w image."""
    extent = np.array(t1w_img.shape) * t1w_img.affine[0, 0]
    shape = np.ceil(extent / voxel_size).astype(int)
    affine = np.diag([voxel_size, voxel_size, voxel_size, 1.0])
    affine[:3, 3] = _centre(t1w_img) - voxel_size * (shape - 1) / 2
    return tuple(int(size) for size in shape), affine


def _check(
    network: PlantedNetwork,
    indices: NDArray[np.int64],
    n_timepoints: int,
    voxel_size: float,
    resolution: float,
) -> None:
    """Refuse what cannot be simulated."""
    if len(indices) != len(network.correlation):
        raise ValueError(
            f"indices must name the {len(network.correlation)} regions of the network; "
            f"got {len(indices)}."
        )
    if n_timepoints < 10:
        raise ValueError(f"n_timepoints must be at least 10; got {n_timepoints}.")
    if voxel_size < resolution:
        raise ValueError(
            f"voxel_size must be at least the {resolution} mm of the anatomy; got {voxel_size}."
        )
