"""Rigid head motion of a series: estimation, motion parameters, framewise displacement."""

import warnings
from dataclasses import dataclass

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import ArrayLike, NDArray

from brainnet.imaging._realign import Array, Level, Pose, Target, fit, prepare, rigid
from brainnet.imaging._sampling import image_like, inside, sample

# Halves the steps that a jump takes and widens what is caught; fine steps finish the work.
_COARSE = Level(fwhm=12.0, max_voxels=8000, order=1, field_degree=0)
_MAX_RESIDUAL = 0.35  # of the mean intensity: beyond, a volume does not look like the reference


class MotionWarning(UserWarning):
    """Some volume's pose could not be estimated."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Pose of the head in each volume of a series.

    Attributes
    ----------
    matrices : (T, 4, 4) array
        Map the reference's world to each volume's world, RAS mm: a point of the head at ``x`` in
        the reference stands at ``matrices[t] @ x`` in volume t. Made for `resample_series`.
    reference_img : 3-D image
        Mean of the realigned volumes, float32, on the grid of the series.
    center : (3,) array
        Centre of the brain in the reference, mm: the point to turn about in `motion_parameters`.
    scale : (T,) array
        Intensity of each volume relative to the reference, at the centre of the brain; NaN where
        the pose is a neighbour's.
    residual : (T,) array
        Robust standard deviation (MAD) of volume minus reference over the brain after
        realignment and light smoothing, relative to mean intensity; NaN as in ``scale``.
    """

    matrices: Array
    reference_img: Nifti1Image
    center: Array
    scale: Array
    residual: Array


def estimate_motion(
    img4d: Nifti1Image,
    *,
    smoothing_fwhm: float = 4.0,
    max_voxels: int = 30_000,
    n_iterations: int = 20,
) -> Motion:
    r"""Estimate the rigid motion of the head through a series.

    For each volume :math:`I` the rigid transform :math:`M` and the intensity field :math:`a`
    minimise

    .. math:: \sum_x w(x) \, [I(M x) - a(x) R(x)]^2

    over voxels :math:`x` of the head in the reference :math:`R`, by the inverse compositional
    Gauss-Newton method. The field is a quadratic polynomial in space, so that broad changes of
    brightness do not pass for motion; Tukey's weights :math:`w` leave out whatever does not move
    with the head. The first reference is the usable volume next to the middle, the second one
    the mean of the volumes realigned to it.

    Parameters
    ----------
    img4d : 4-D image
        T >= 1 volumes of at least 8 voxels along each axis, any orientation and voxel size.
    smoothing_fwhm : float
        Full width at half maximum of the Gaussian that smooths what is compared, mm.
    max_voxels : int
        At most so many evenly spaced voxels of the head are compared.
    n_iterations : int
        Most Gauss-Newton steps at each level; they end earlier at steps below 0.001 mm.

    Returns
    -------
    Motion
        The frame is that of the volume next to the middle.

    Warns
    -----
    MotionWarning
        Where volumes are empty, constant, not finite, or do not look like the others. They get
        the pose of the nearest volume that does and take no part in the reference.

    Raises
    ------
    ValueError
        If ``img4d`` is not 4-D, is too small, or has no usable volume.

    Notes
    -----
    Nothing is random. Besides the input, memory holds a few volumes in float64.

    References
    ----------
    Baker and Matthews (2004), Int J Comput Vis 56:221. Friston et al. (1995), Hum Brain Mapp
    3:165.

    Examples
    --------
    >>> x, y, z = np.indices((20, 20, 20)) * 4.0 - 38.0
    >>> def head(shift):  # an ellipsoid
    ...     radius = np.sqrt(((x - shift) / 20) ** 2 + (y / 25) ** 2 + (z / 22) ** 2)
    ...     return 1000 / (1 + np.exp(10 * (radius - 1)))
    >>> img4d = Nifti1Image(np.stack([head(0.0), head(1.0)], -1), np.diag([4.0, 4, 4, 1]))
    >>> matrices = estimate_motion(img4d).matrices
    >>> bool(abs((np.linalg.inv(matrices[0]) @ matrices[1])[0, 3] - 1.0) < 0.03)
    True
    """
    _check_series(img4d)
    usable = _usable_volumes(img4d)
    start = int(usable[np.argmin(np.abs(usable - img4d.shape[3] // 2))])
    reference = _volume(img4d, start)
    fine = Level(smoothing_fwhm, max_voxels, order=3, field_degree=2)
    poses: dict[int, Pose] = {}
    for levels in ([_COARSE, fine], [fine]):
        targets = [prepare(reference, img4d.affine, level) for level in levels]
        poses = _fit_series(img4d, usable, targets, n_iterations, poses)
        reference = _mean_realigned(img4d, poses)
    _warn_lost(sorted(set(range(img4d.shape[3])) - set(poses)))
    return _assemble(img4d, poses, reference, targets[-1].center)


def motion_parameters(matrices: ArrayLike, *, center: ArrayLike | None = None) -> Array:
    r"""Return translations and rotations of rigid matrices.

    .. math:: M x = R_x(\alpha) R_y(\beta) R_z(\gamma) (x - c) + c + t

    Parameters
    ----------
    matrices : (..., 4, 4) array
        Rigid, RAS mm, such as `Motion.matrices`.
    center : (3,) array, optional
        Point :math:`c` to turn about, mm: `Motion.center` for the centre of the brain. Default:
        the origin of the world. Translations depend on it, rotations do not.

    Returns
    -------
    (..., 6) array
        :math:`t` along x, y, z in mm, then :math:`\alpha, \beta, \gamma` in rad, in the order of
        fMRIPrep's trans_x, trans_y, trans_z, rot_x, rot_y, rot_z.

    Raises
    ------
    ValueError
        If a matrix is not rigid (to 1e-4).

    Notes
    -----
    The sign is that of the head: with matrices that pull (reference to volume), trans_x = 1 says
    that the head stands 1 mm further right (+x) in that volume, and rot_z = 0.1 that it is turned
    by 0.1 rad counter-clockwise about +z, seen from above. The correction that FSL and fMRIPrep
    write is its inverse, about another point: opposite in sign, to first order. Neither framewise
    displacement nor a regression on the parameters depends on the sign. Rotations are right-handed
    and :math:`\beta` lies within 90 degrees.

    Examples
    --------
    >>> turn = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1]])
    >>> motion_parameters(turn).round(3).tolist()
    [0.0, 0.0, 2.0, 0.0, 0.0, 1.571]
    """
    given = np.asarray(matrices, dtype=np.float64)
    _check_rigid(given)
    linear = given[..., :3, :3]
    point = np.zeros(3) if center is None else np.asarray(center, dtype=np.float64)
    translation = given[..., :3, 3] + linear @ point - point
    angles = [
        np.arctan2(-linear[..., 1, 2], linear[..., 2, 2]),
        np.arcsin(np.clip(linear[..., 0, 2], -1.0, 1.0)),
        np.arctan2(-linear[..., 0, 1], linear[..., 0, 0]),
    ]
    parameters: Array = np.concatenate([translation, np.stack(angles, axis=-1)], axis=-1)
    return parameters + 0.0  # no -0.0


def matrices_from_parameters(parameters: ArrayLike, *, center: ArrayLike | None = None) -> Array:
    """Return the rigid matrices of motion parameters: the inverse of `motion_parameters`.

    Parameters
    ----------
    parameters : (..., 6) array
        Translations (mm) and rotations (rad) as `motion_parameters` returns them.
    center : (3,) array, optional
        Point to turn about, mm. Default: the origin of the world.

    Returns
    -------
    (..., 4, 4) array
        Rigid matrices, RAS mm.

    Raises
    ------
    ValueError
        If ``parameters`` do not end in an axis of 6.

    Examples
    --------
    >>> matrices_from_parameters([1.0, 2, 3, 0, 0, 0])[:3, 3].tolist()
    [1.0, 2.0, 3.0]
    """
    given = _six(parameters)
    point = np.zeros(3) if center is None else np.asarray(center, dtype=np.float64)
    return rigid(given, point)


def framewise_displacement(parameters: ArrayLike, *, radius: float = 50.0) -> Array:
    r"""Return how far the head moved since the volume before.

    .. math:: FD_t = \sum_{i=1}^{3} |\Delta t_i| + r \sum_{i=1}^{3} |\Delta \alpha_i|

    Parameters
    ----------
    parameters : (T, 6) array
        Translations (mm) and rotations (rad) as `motion_parameters` returns them.
    radius : float
        Radius :math:`r` of the sphere on which rotations become arcs, mm.

    Returns
    -------
    (T,) array
        In mm, >= 0. The first volume has no predecessor and gets 0.

    Raises
    ------
    ValueError
        If ``parameters`` are not (T, 6).

    References
    ----------
    Power et al. (2012), NeuroImage 59:2142.

    Examples
    --------
    >>> framewise_displacement([[0, 0, 0, 0, 0, 0], [1, 0, -1, 0.01, 0, 0]]).tolist()
    [0.0, 2.5]
    """
    given = _six(parameters)
    if given.ndim != 2:
        raise ValueError(f"parameters must have shape (T, 6); got {given.shape}. Pass one series.")
    moved: Array = np.abs(np.diff(given, axis=0, prepend=given[:1]))
    total: Array = moved[:, :3].sum(axis=1) + radius * moved[:, 3:].sum(axis=1)
    return total


def _fit_series(
    img4d: Nifti1Image,
    usable: NDArray[np.int64],
    targets: list[Target],
    n_iterations: int,
    starts: dict[int, Pose],
) -> dict[int, Pose]:
    """Fit volume after volume, from its earlier pose or else the pose of the volume before."""
    poses: dict[int, Pose] = {}
    latest = np.eye(4)
    for index in usable.tolist():
        if starts and index not in starts:
            continue
        volume = _volume(img4d, index)
        pose: Pose | None = starts.get(index, Pose(latest, 1.0, 0.0))
        for target in targets:
            pose = fit(volume, target, pose.matrix, n_iterations) if pose else None
        if pose and pose.residual < _MAX_RESIDUAL:
            poses[index], latest = pose, pose.matrix
    return poses


def _mean_realigned(img4d: Nifti1Image, poses: dict[int, Pose]) -> Array:
    """Average the realigned volumes, each where its field of view reaches."""
    shape = img4d.shape[:3]
    total, count = np.zeros(shape), np.zeros(shape)
    for index, pose in poses.items():
        matrix = np.linalg.inv(img4d.affine) @ pose.matrix @ img4d.affine
        total += sample(_volume(img4d, index), matrix, shape)
        count += inside(matrix, shape, shape)
    return np.asarray(total / np.maximum(count, 1), dtype=np.float64)


def _assemble(
    img4d: Nifti1Image, poses: dict[int, Pose], reference: Array, center: Array
) -> Motion:
    """Give each volume its pose, or the pose of the nearest volume that has one."""
    known = np.array(sorted(poses))
    volumes = range(img4d.shape[3])
    nearest = [int(known[np.argmin(np.abs(known - volume))]) for volume in volumes]
    nothing = Pose(np.eye(4), np.nan, np.nan)
    return Motion(
        matrices=np.stack([poses[volume].matrix for volume in nearest]),
        reference_img=image_like(reference.astype(np.float32), img4d),
        center=center,
        scale=np.array([poses.get(volume, nothing).scale for volume in volumes]),
        residual=np.array([poses.get(volume, nothing).residual for volume in volumes]),
    )


def _usable_volumes(img4d: Nifti1Image) -> NDArray[np.int64]:
    """Return the volumes that are about as finite as the best and not constant."""
    finite, spread = np.zeros((2, img4d.shape[3]))
    for index in range(img4d.shape[3]):
        finite[index] = np.isfinite(np.asarray(img4d.dataobj[..., index])).mean()
        spread[index] = _volume(img4d, index).std()
    usable = np.flatnonzero((finite >= 0.95 * finite.max()) & (spread > 1e-2 * np.median(spread)))
    if not len(usable) or spread.max() == 0:
        raise ValueError(
            f"img4d must have a volume that is finite and not constant; none of {len(finite)} is. "
            "Check the conversion of the scan."
        )
    return usable


def _volume(img4d: Nifti1Image, index: int) -> Array:
    """Read one volume as float64; what is not finite is 0."""
    volume = np.asarray(img4d.dataobj[..., index], dtype=np.float64)
    return np.nan_to_num(volume, nan=0.0, posinf=0.0, neginf=0.0)


def _warn_lost(lost: list[int]) -> None:
    """Say which volumes have a neighbour's pose."""
    if lost:
        warnings.warn(
            f"The head's pose could not be estimated in {len(lost)} volume(s), counted from 0: "
            f"{', '.join(map(str, lost))}. They are empty, not finite or unlike the others and "
            "get the pose of the nearest good volume. Censor them, or repair the scan.",
            MotionWarning,
            stacklevel=3,
        )


def _check_series(img4d: Nifti1Image) -> None:
    """Refuse what is not a series of volumes."""
    if img4d.ndim != 4 or min(img4d.shape[:3]) < 8:
        raise ValueError(
            "img4d must be 4-D with at least 8 voxels along each axis; got shape "
            f"{img4d.shape}. Pass the whole, unmasked series."
        )


def _check_rigid(matrices: Array) -> None:
    """Refuse anything but rotation and translation."""
    if matrices.shape[-2:] != (4, 4):
        raise ValueError(f"matrices must have shape (..., 4, 4); got {matrices.shape}.")
    linear = matrices[..., :3, :3]
    error = np.abs(linear @ np.swapaxes(linear, -1, -2) - np.eye(3)).max(initial=0.0)
    if not error < 1e-4 or (np.linalg.det(linear) < 0).any():
        raise ValueError(
            f"matrices must be rigid; got one that is off by {error:.3g}. Affine matrices have "
            "no motion parameters: use those of estimate_motion."
        )


def _six(parameters: ArrayLike) -> Array:
    """Return parameters as an array that ends in an axis of 6."""
    given = np.asarray(parameters, dtype=np.float64)
    if given.ndim == 0 or given.shape[-1] != 6:
        raise ValueError(
            f"parameters must have shape (..., 6); got {given.shape}. Give 3 translations (mm) "
            "and 3 rotations (rad)."
        )
    return given
