"""What an outlined haemorrhage is worth beside its truth, and the classical method as a peer.

Every measure takes a truth and a reading of it as arrays on one grid; nothing of the package is
used, so that the same ruler lies on both methods. Sensitivity and false lesions as in the field's
challenges (a lesion counts as found where a tenth of it is covered); limits of agreement as Bland
and Altman (1986), Lancet 1:307; ABC/2 as Kothari et al. (1996), Stroke 27:1304; intervals by
drawing scans anew (Efron and Tibshirani 1993).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import nibabel as nib
import numpy as np
from bleeds_ct import KINDS, OEDEMA
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import rankdata

Mask = NDArray[np.bool_]
Row = dict[str, Any]

_NAMES = {code: kind for kind, code in KINDS.items()}
_LEAST_TRUE, _LEAST_FALSE = 1.0, 0.1  # ml
_TOUCHING = np.ones((3, 3, 3))


@dataclass(frozen=True)
class Read:
    """A reading in plain arrays: labels (11 to 16), lesions' numbers, findings (may be partial)."""

    labels: NDArray[Any]
    lesions: NDArray[Any]
    findings: dict[str, Any] = field(default_factory=dict)


def score(truth: NDArray[Any], read: Read, facts: dict[str, Any], img: Nifti1Image) -> Row:
    """Return the measures of one scan, to be pooled by :func:`summary`."""
    spacing = np.asarray(img.header.get_zooms()[:3], dtype=float)
    ml = float(np.prod(spacing)) / 1000
    swollen = [each == OEDEMA for each in (truth, read.labels)]
    oedema = [*(float(each.sum()) * ml for each in swollen), overlap(*swollen, ml)]
    box = _around(_blood(truth) | _blood(read.labels))
    truth, read = truth[box], Read(read.labels[box], read.lesions[box], read.findings)
    true, found = _blood(truth), _blood(read.labels)
    row: Row = {
        "true ml": sum(facts["ml"].get(kind, 0.0) for kind in KINDS),
        "mask ml": float(true.sum()) * ml, "found ml": float(found.sum()) * ml,
        "dice": {"any": overlap(true, found, ml)},
        "lesions": [], "false": {"any": _false(found, true, ml)},
        "probability": _get(read.findings, "haemorrhage", "probability"),
        "present": _get(read.findings, "haemorrhage", "present"),
        "volume": _get(read.findings, "volumes_ml", "total"),
        "shift": _shift_error(read.findings, facts), "abc": [], "oedema": oedema,
        "name": facts.get("name", ""), "protocol": facts.get("protocol", ""),
    }  # fmt: skip
    for kind, code in KINDS.items():
        own = read.labels == code
        row["dice"][kind] = overlap(truth == code, own, ml)
        row["false"][kind] = _false(own, true, ml)
        for lesion in pieces(truth == code, ml, _LEAST_TRUE):
            row["lesions"].append(_lesion(lesion, kind, read, ml))
            if kind == "intraparenchymal":
                row["abc"] += _abc_ratio(lesion, read, img)
    return row


def _blood(labels: NDArray[Any]) -> Mask:
    return np.asarray((labels >= 11) & (labels <= 15))


def _around(mask: Mask) -> tuple[slice, ...]:
    """Return the box of a mask with two voxels around it; a corner where it is empty."""
    if not mask.any():
        return tuple(slice(0, 4) for _ in mask.shape)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(0, side.start - 2), side.stop + 2) for side in box)


def _get(findings: dict[str, Any], *keys: str) -> Any:
    """Return an entry of the findings; None where there is none."""
    value: Any = findings
    for key in keys:
        value = None if value is None else value.get(key)
    return value


def pieces(mask: Mask, ml: float, least_ml: float) -> list[tuple[Any, Mask]]:
    """Return boxes and masks of what touches and has at least a volume."""
    named, n_pieces = ndimage.label(mask, _TOUCHING)
    sizes = np.bincount(named.ravel(), minlength=n_pieces + 1)
    boxes = ndimage.find_objects(named)
    return [
        (box, named[box] == number)
        for number, box in enumerate(boxes, 1)
        if sizes[number] * ml >= least_ml
    ]


def overlap(true: Mask, found: Mask, ml: float) -> float | None:
    """Return Dice over lesions above 1 ml; what covers smaller ones is neither right nor wrong.

    None where there is no such lesion.
    """
    large = np.zeros_like(true)
    for box, lesion in pieces(true, ml, _LEAST_TRUE):
        large[box] |= lesion
    if not large.any():
        return None
    counted = found & ~(true & ~large)
    return float(2 * (large & counted).sum() / (large.sum() + counted.sum()))


def _false(found: Mask, true: Mask, ml: float) -> int:
    """Return how many found lesions touch no true one."""
    near = ndimage.binary_dilation(true, _TOUCHING) if true.any() else true
    return sum(not (near[box] & lesion).any() for box, lesion in pieces(found, ml, _LEAST_FALSE))


def _lesion(lesion: tuple[Any, Mask], kind: str, read: Read, ml: float) -> Row:
    """Return whether a true lesion was found, and as what."""
    box, mask = lesion
    inside = read.labels[box][mask]
    inside = inside[(inside >= 11) & (inside <= 15)]
    said = _NAMES[int(np.bincount(inside.astype(int)).argmax())] if inside.size else None
    return {
        "kind": kind, "ml": float(mask.sum()) * ml, "covered": inside.size / float(mask.sum()),
        "said": said,
    }  # fmt: skip


def _shift_error(findings: dict[str, Any], facts: dict[str, Any]) -> list[float] | None:
    """Return a shift as planted, as found, and planted on the bend that the head has by nature.

    mm, to the right; None where nothing was planted, NaN where none was found.
    """
    true = facts.get("midline_shift", {})
    if true.get("mm") is None:
        return None
    planted = _signed(true["mm"], true["to"])
    found = _get(findings, "midline_shift", "mm")
    found = float("nan") if found is None else _signed(found, findings["midline_shift"]["to"])
    return [planted, found, planted + true.get("own_mm", 0.0)]


def _signed(mm: float, to: str) -> float:
    """Return a shift with its sign; below what has a side it counts as it is."""
    return -mm if to == "left" else mm


def abc_over_2(mask: Mask, spacing: tuple[float, float, float]) -> float:
    """Return ABC/2 (ml) of one haematoma, third axis across slices, by turned calipers."""
    areas = mask.sum((0, 1))
    largest = areas.argmax()
    corners = np.argwhere(mask[..., largest])[:, None] + np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    points = corners.reshape(-1, 2) * np.asarray(spacing[:2])
    angles = np.radians(np.arange(180))
    widths = np.ptp(points @ np.stack([np.cos(angles), np.sin(angles)]), axis=0)
    a = int(widths.argmax())
    share = areas / areas[largest]
    c = (np.sum(share > 0.75) + 0.5 * np.sum((share >= 0.25) & (share <= 0.75))) * spacing[2]
    return float(widths[a] * widths[(a + 90) % 180] * c / 2000)


def _abc_ratio(lesion: tuple[Any, Mask], read: Read, img: Nifti1Image) -> list[float]:
    """Return what the findings' ABC/2 is beside that of the true outline; empty where none."""
    box, mask = lesion
    numbers = read.lesions[box][mask].astype(int)
    numbers = numbers[numbers > 0]
    by_number = {each["number"]: each for each in read.findings.get("lesions", [])}
    number = int(np.bincount(numbers).argmax()) if numbers.size else 0
    found = _get(by_number.get(number, {}), "abc_over_2", "volume_ml")
    if found is None:
        return []
    whole = np.zeros(read.labels.shape, np.uint8)
    whole[box] = mask
    upright = nib.funcs.as_closest_canonical(Nifti1Image(whole, img.affine))
    spacing = upright.header.get_zooms()[:3]
    return [float(found) / abc_over_2(np.asarray(upright.dataobj) > 0, spacing)]


def summary(rows: list[Row], *, n_draws: int = 2000, seed: int = 0) -> Row:
    """Return measures over scans, the main ones with their 95 % intervals."""
    rng = np.random.default_rng(seed)
    main: dict[str, Callable[[list[Row]], float]] = {
        "dice": lambda each: _mean([row["dice"]["any"] for row in each]),
        "sensitivity": lambda each: _found(each, 0.1),
        "false lesions a scan": lambda each: _mean([row["false"]["any"] for row in each]),
        "empty": _empty,
        "volume bias %": lambda each: 100 * _mean(_relative(each)),
        "shift mae mm": lambda each: _mean(_shift_errors(each)),
    }
    draws = [rng.integers(len(rows), size=len(rows)) for _ in range(n_draws if rows else 0)]
    found: Row = {"scans": len(rows)}
    for name, measure in main.items():
        values = [measure([rows[i] for i in draw]) for draw in draws]
        values = [value for value in values if np.isfinite(value)]
        low, high = np.percentile(values, (2.5, 97.5)) if values else (np.nan, np.nan)
        found[name] = {"value": measure(rows), "low": float(low), "high": float(high)}
    return found | _more(rows)


def _more(rows: list[Row]) -> Row:
    """Return what is said without an interval."""
    each = [lesion for row in rows for lesion in row["lesions"]]
    abc = [ratio for row in rows for ratio in row["abc"]]
    away = [_volume(row) - row["true ml"] for row in rows if row["true ml"] > 1]
    empty = [row for row in rows if row["true ml"] == 0]
    return {
        "sensitivity at 30 %": _found(rows, 0.3), "lesions": len(each),
        "by kind": {kind: _of_kind(rows, kind) for kind in KINDS},
        "said to be absent where absent": _mean(
            [not row["present"] for row in empty if row["present"] is not None]
        ),
        "agreement ml": _limits(away), "agreement %": _limits([100 * v for v in _relative(rows)]),
        "AUC": _auc(rows), "interval covers": _covered(rows),
        "ABC/2 beside truth": {"median": float(np.median(abc)) if abc else None, "n": len(abc)},
        "oedema": _oedema([row["oedema"] for row in rows]),
        "shift mae mm, natural bend counted": _mean(_shift_errors(rows, truth=2)),
        "shifts": [row["shift"] for row in rows if row["shift"]],
        "shift unread": _mean([float(np.isnan(row["shift"][1])) for row in rows if row["shift"]]),
    }  # fmt: skip


def _oedema(rows: list[list[Any]]) -> Row:
    """Return the overlap where there is more than 1 ml, and what was found of all there was."""
    true, found = (sum(row[i] for row in rows) for i in (0, 1))
    dice = _mean([row[2] for row in rows])
    return {"dice": dice, "true ml": true, "found ml": found, "ratio": found / (true or np.nan)}


def _of_kind(rows: list[Row], kind: str) -> Row:
    own = [each for row in rows for each in row["lesions"] if each["kind"] == kind]
    said = [each["said"] == kind for each in own if each["covered"] >= 0.1]
    return {
        "dice": _mean([row["dice"][kind] for row in rows]), "lesions": len(own),
        "sensitivity": _mean([each["covered"] >= 0.1 for each in own]),
        "sensitivity at 30 %": _mean([each["covered"] >= 0.3 for each in own]),
        "false lesions a scan": _mean([row["false"][kind] for row in rows]),
        "kind right": _mean(said),
    }  # fmt: skip


def _found(rows: list[Row], share: float) -> float:
    return _mean([each["covered"] >= share for row in rows for each in row["lesions"]])


def _empty(rows: list[Row]) -> float:
    """Return the share of scans without haemorrhage in which none of 0.1 ml is outlined."""
    return _mean([row["false"]["any"] == 0 for row in rows if row["true ml"] == 0])


def _relative(rows: list[Row]) -> list[float]:
    """Return relative errors of the volume; findings' volume where there is one."""
    return [_volume(row) / row["true ml"] - 1 for row in rows if row["true ml"] > 1]


def _volume(row: Row) -> float:
    said = _get(row, "volume", "value")
    return float(row["found ml"] if said is None else said)


def _shift_errors(rows: list[Row], truth: int = 0) -> list[float]:
    pairs = [row["shift"] for row in rows if row["shift"] and np.isfinite(row["shift"][1])]
    return [abs(pair[truth] - pair[1]) for pair in pairs]


def _limits(values: list[float]) -> Row:
    """Return the mean difference and limits of agreement."""
    if len(values) < 2:
        return {"mean": _mean(values), "low": None, "high": None}
    middle, spread = float(np.mean(values)), 1.96 * float(np.std(values, ddof=1))
    return {"mean": middle, "low": middle - spread, "high": middle + spread}


def _auc(rows: list[Row]) -> float | None:
    """Return the area under the curve of the scan's probability."""
    known = [row for row in rows if row["probability"] is not None]
    truth = np.array([row["true ml"] > 0 for row in known], dtype=bool)
    n_yes, n_no = int(truth.sum()), int((~truth).sum())
    if not n_yes or not n_no:
        return None
    ranks = rankdata([row["probability"] for row in known])
    return float((ranks[truth].sum() - n_yes * (n_yes + 1) / 2) / (n_yes * n_no))


def _covered(rows: list[Row]) -> float:
    """Return how often the interval of the volume holds the truth, of scans with haemorrhage."""
    inside = []
    for row in rows:
        low, high = _get(row, "volume", "low"), _get(row, "volume", "high")
        if row["true ml"] > 1 and low is not None and high is not None:
            inside.append(low <= row["true ml"] <= high)
    return _mean(inside)


def _mean(values: list[Any]) -> float:
    known = [float(value) for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
