"""What the participant level found, beside what the simulation planted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from brainnet import io
from brainnet.workflows.transforms import load_matrices

Matrices = NDArray[np.float64]
#: middle of the MNI brain, mm, about which poses are compared
CENTRE = np.array([0.0, -18.0, 10.0])


def compare(
    bids_dir: Path, derivatives: Path, atlas: str, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Compare each simulated participant's results with the truth beside the dataset.

    Parameters
    ----------
    bids_dir : pathlib.Path
        Written by `brainnet.simulate.dataset.simulate_dataset`.
    derivatives : pathlib.Path
        What the participant level made of it.
    atlas : str
        Whose networks to compare.
    names : sequence of str, optional
        Participants such as ``sub-01``; default all.

    Returns
    -------
    DataFrame
        A row a participant: largest error of the planted head motion (``motion_mm`` at the
        brain's centre, ``motion_deg``), of the coregistration (``coregistration_mm``), the
        correlation of functional edges with the planted population network and with its
        realisation in this run (``network_r_planted``, ``network_r_realised``), and the largest
        and median relative error of regional SUVR against the truth after the scanner's blur
        and before it (``suvr_error_*``).
    """
    if names is None:
        names = list(io.load_table(bids_dir / "participants.tsv")["participant_id"])
    return pd.DataFrame([_row(name, bids_dir, derivatives, atlas) for name in names])


def _row(name: str, bids_dir: Path, derivatives: Path, atlas: str) -> dict[str, object]:
    truth = bids_dir / "sourcedata" / "truth"
    func = derivatives / name / "func" / f"{name}_task-rest"
    row: dict[str, object] = {"participant_id": name}
    row |= _motion(f"{func}_from-orig_to-boldref_mode-image_xfm.txt", truth, name)
    row |= _coregistration(f"{func}_from-boldref_to-T1w_mode-image_xfm.txt", truth, name)
    row |= _network(f"{func}_seg-{atlas}_stat-pearsoncorrelation_relmat.tsv", truth, name)
    row |= _suvr(derivatives / name / "pet", truth, name, atlas)
    return row


def _motion(path: str, truth: Path, name: str) -> dict[str, float]:
    """Compare poses relative to the first volume, about the head's centre."""
    found = load_matrices(Path(path))
    planted = io.load_table(truth / f"{name}_motion.tsv").to_numpy(np.float64).reshape(-1, 4, 4)
    relative = found @ np.linalg.inv(found[0])
    error = relative @ np.linalg.inv(planted @ np.linalg.inv(planted[0]))
    angles = Rotation.from_matrix(error[:, :3, :3]).magnitude()
    return {
        "motion_mm": float(displacements(error, radius=0.0).max()),
        "motion_deg": float(np.rad2deg(angles).max()),
    }


def _coregistration(path: str, truth: Path, name: str) -> dict[str, float]:
    """Compare where the T1w image's head lies in the first volume."""
    motion_path = Path(path.replace("from-boldref_to-T1w", "from-orig_to-boldref"))
    found = load_matrices(motion_path)[0] @ load_matrices(Path(path))[0]
    planted = io.load_table(truth / f"{name}_from-boldref_to-T1w_xfm.tsv").to_numpy(np.float64)
    error = found @ planted
    return {"coregistration_mm": float(displacements(error[None], radius=50.0).mean())}


def displacements(errors: Matrices, *, radius: float) -> NDArray[np.float64]:
    """Return how far each matrix moves the centre, or points on a sphere around it (mm)."""
    directions = np.vstack([np.eye(3), -np.eye(3)]) if radius else np.zeros((1, 3))
    points = np.c_[radius * directions + CENTRE, np.ones(len(directions))]
    moved = points @ np.swapaxes(errors, -1, -2)
    return np.asarray(np.linalg.norm((moved - points)[..., :3], axis=-1))


def _network(path: str, truth: Path, name: str) -> dict[str, float]:
    found = io.load_matrix(Path(path)).to_numpy(np.float64)
    upper = np.triu_indices(len(found), k=1)
    result = {}
    for kind in ("planted", "realised"):
        planted = io.load_matrix(truth / f"{name}_desc-{kind}_relmat.tsv").to_numpy(np.float64)
        both = np.isfinite(found[upper]) & np.isfinite(planted[upper])
        r = np.corrcoef(found[upper][both], planted[upper][both])[0, 1]
        result[f"network_r_{kind}"] = float(r)
    return result


def _suvr(folder: Path, truth: Path, name: str, atlas: str) -> dict[str, float]:
    (path,) = folder.glob(f"{name}_*_seg-{atlas}_stat-mean_desc-suvr_pet.tsv")
    found = io.load_table(path)["value"].to_numpy(np.float64)
    planted = io.load_table(truth / f"{name}_regions.tsv")
    result = {}
    for key, column in (("blurred", "suvr_blurred"), ("unblurred", "suvr")):
        error = np.abs(found / planted[column].to_numpy(np.float64) - 1)
        result[f"suvr_error_{key}_median"] = float(np.nanmedian(error))
        result[f"suvr_error_{key}_max"] = float(np.nanmax(error))
    return result
