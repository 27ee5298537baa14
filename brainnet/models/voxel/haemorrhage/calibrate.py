"""Fit what turns outlines into statements, on scans whose truth is known."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage

from brainnet.models.voxel.haemorrhage.outline import KINDS, Judgement, Outline, Piece
from brainnet.models.voxel.haemorrhage.synthesis import HaemorrhageSynthesis

__all__ = ["EDGES", "Case", "best_edge", "case_of", "dice_at", "fit_judgement", "made_scan"]

Floats = NDArray[np.float64]

_OVERLAP = 0.1  # share of an outline that must be blood for it to be one
_LEAST_TRUE_ML = 0.1
_PENALTY = 0.02  # of the logistic fits: they stay finite where classes are apart
_STEPS = 60
#: Probabilities at which outlines may run.
EDGES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_NEARLY = 0.02  # of Dice
_LEASTS = np.round(np.arange(0.1, 0.91, 0.05), 2)


class Case(NamedTuple):
    """One scan with its truth, as far as a judgement is fitted to it.

    Attributes
    ----------
    pieces : list of (volume_ml, mean, is_blood)
        Outlines.
    volumes : list of (outlined_ml, shell, true_ml)
        Of all kinds together.
    present : bool
        Whether there is blood.
    """

    pieces: list[tuple[float, float, bool]]
    volumes: list[tuple[float, float, float]]
    present: bool


def made_scan(
    synthesis: HaemorrhageSynthesis, number: int
) -> tuple[Nifti1Image, NDArray[np.int16]]:
    """Return a synthesised scan in Hounsfield units and its true labels, on one grid.

    Parameters
    ----------
    synthesis : HaemorrhageSynthesis
    number : int
        Of the sample.
    """
    found = synthesis.patient(number)
    structure = found["structure"].argmax(dim=0).numpy()
    bloods = np.zeros(1 + synthesis.table.n_structures, dtype=np.int16)
    for kind, value in KINDS.items():
        bloods[1 + synthesis.table.structures.index(f"{kind} haemorrhage")] = value
    affine = np.diag([synthesis.voxel_size] * 3 + [1.0])
    return Nifti1Image(found["units"].numpy(), affine), bloods[structure]


def case_of(outlined: Outline, truth: NDArray[np.bool_], affine: NDArray[np.float64]) -> Case:
    """Compare outlines, made without leaving any out, with the truth on another grid.

    Parameters
    ----------
    outlined : Outline
    truth : (nx, ny, nz) bool array
        Where there is blood.
    affine : (4, 4) array
        Of the truth, RAS mm.
    """
    on_fine = _on_fine(outlined, truth, affine)
    every: Sequence[Piece] = (*outlined.pieces, *outlined.left_out)
    pieces = [
        (each.volume_ml, each.mean, float(on_fine[each.box][each.mask].mean()) > _OVERLAP)
        for each in every
    ]
    true_ml = float(truth.sum() * abs(np.linalg.det(affine[:3, :3])) / 1000)
    volume = sum(each.volume_ml for each in every)
    shell = sum(each.shell * each.volume_ml for each in every) / volume if volume else 0.0
    volumes = [(volume, shell, true_ml)] if volume and true_ml > _LEAST_TRUE_ML else []
    return Case(pieces, volumes, true_ml > _LEAST_TRUE_ML)


def dice_at(
    outlined: Outline, truth: NDArray[np.bool_], affine: NDArray[np.float64]
) -> list[float]:
    """Return the overlap with the truth of outlines at each of :data:`EDGES`, nothing left out.

    Parameters
    ----------
    outlined, truth, affine
        As in :func:`case_of`.
    """
    on_fine = _on_fine(outlined, truth, affine)
    n_true = on_fine.sum()
    found = []
    for edge in EDGES:
        own = outlined.blood > edge
        found.append(float(2 * (own & on_fine).sum() / max(1, own.sum() + n_true)))
    return found


def best_edge(dices: Sequence[Sequence[float]]) -> float:
    """Return the highest of :data:`EDGES` whose mean overlap is within 0.02 of the best.

    A lower one gains little overlap and outlines more than there is.

    Parameters
    ----------
    dices : sequence of sequences of float
        What :func:`dice_at` says of each scan; one scan or more.

    Examples
    --------
    >>> best_edge([[0.70, 0.72, 0.71, 0.60, 0.5, 0.4, 0.3]])
    0.5
    """
    means = np.mean(dices, axis=0)
    return EDGES[int(np.flatnonzero(means >= means.max() - _NEARLY).max())]


def _on_fine(
    outlined: Outline, truth: NDArray[np.bool_], affine: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return the truth on the grid of outlines."""
    index = np.linalg.inv(affine) @ outlined.affine
    found = ndimage.affine_transform(
        truth.astype(np.float32), index[:3, :3], index[:3, 3], outlined.blood.shape, order=1
    )
    return np.asarray(found > 0.5)


def fit_judgement(
    cases: Sequence[Case], *, edge: float = 0.5, coverage: float = 0.9, floor: float = 0.1,
    false: float = 0.3, empty: float = 0.9,
) -> Judgement:  # fmt: skip
    """Fit a judgement to scans.

    Two logistic models (is an outline blood, from its size and mean probability; does a scan show
    blood, from its likeliest outline, as if half of the scans did), the scale of volumes (the
    median of true over outlined) and the width of their interval: the quantile of the errors over
    their own uncertainty, with the correction of split conformal prediction for few scans.

    Parameters
    ----------
    cases : sequence of Case
        Of outlines made with ``Judgement(least=0, least_ml=0.1)``.
    edge : float
        At which the outlines run.
    coverage : float
        Share of volumes that are to lie in their interval, in (0, 1).
    floor : float
        Of the judgement.
    false : float
        Outlines that are no blood, at most so many a scan.
    empty : float
        Share of the scans without blood that must stay empty. The least probability of an outline
        that is kept is the lowest that both hold with, 0.9 if there is none.

    Raises
    ------
    ValueError
        Fewer than ten scans with blood or ten without; no outline that is blood.

    References
    ----------
    Lei et al. (2018), Distribution-free predictive inference for regression, J Am Stat Assoc
    113:1094.
    """
    n_with = sum(each.present for each in cases)
    if min(n_with, len(cases) - n_with) < 10:
        raise ValueError(
            f"cases must hold ten scans with and ten without blood; got {n_with} and "
            f"{len(cases) - n_with}. Give more."
        )
    pieces = np.array([each for case in cases for each in case.pieces], dtype=np.float64)
    if not len(pieces) or not pieces[:, 2].any():
        raise ValueError("cases must hold outlines of blood; got none. Train the network first.")
    design = np.stack([np.log(np.maximum(pieces[:, 0], 1e-3)), _logit(pieces[:, 1])], axis=1)
    lesion = _logistic(design, pieces[:, 2])
    found = Judgement(lesion=(lesion[0], lesion[1], lesion[2]))
    likeliest = np.array([
        max((found.lesion_probability(*each[:2]) for each in case.pieces), default=0.0)
        for case in cases
    ])  # fmt: skip
    present = np.array([case.present for case in cases], dtype=np.float64)
    share = float(present.mean())
    even = np.where(present == 1, 0.5 / share, 0.5 / (1 - share))
    scan = _logistic(_logit(likeliest)[:, None], present, even)
    volumes = np.array([each for case in cases for each in case.volumes], dtype=np.float64)
    scale = float(np.exp(np.median(np.log(volumes[:, 2] / volumes[:, 0]))))
    errors = np.abs(np.log(volumes[:, 2] / (scale * volumes[:, 0]))) / (floor + volumes[:, 1])
    said = np.array([found.lesion_probability(*each[:2]) for each in pieces])
    wrong = np.array([np.sum((said >= each) & (pieces[:, 2] == 0)) for each in _LEASTS])
    stay = np.array([np.mean(likeliest[present == 0] < each) for each in _LEASTS])
    enough = np.flatnonzero((wrong <= false * len(cases)) & (stay >= empty))
    at = min(1.0, coverage * (1 + 1 / len(errors)))
    return Judgement(
        lesion=(lesion[0], lesion[1], lesion[2]),
        scan=(scan[0], scan[1]),
        spread=float(np.quantile(errors, at, method="higher")),
        floor=floor,
        scale=scale,
        least=float(_LEASTS[enough[0]]) if enough.size else float(_LEASTS[-1]),
        edge=edge,
    )


def _logit(share: Floats) -> Floats:
    share = np.clip(share, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(share / (1 - share)))


def _logistic(design: Floats, is_so: Floats, counts: Floats | None = None) -> list[float]:
    """Return constant and slopes of a logistic model, slopes held near 0 by a small penalty."""
    counts = np.ones(len(design)) if counts is None else counts
    full = np.column_stack([np.ones(len(design)), design])
    weights = np.zeros(full.shape[1])
    ridge = _PENALTY * len(full) * np.diag([1e-3] + [1.0] * design.shape[1]) / 10
    for _ in range(_STEPS):  # Newton's steps
        share = 1 / (1 + np.exp(-np.clip(full @ weights, -30, 30)))
        gradient = full.T @ (counts * (share - is_so)) + ridge @ weights
        curvature = (full * (counts * share * (1 - share))[:, None]).T @ full + ridge
        weights = weights - np.linalg.solve(curvature + 1e-9 * np.eye(len(weights)), gradient)
    return [float(each) for each in weights]
