"""A BIDS dataset of simulated subjects, with its truth beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from brainnet import io
from brainnet.atlas import Atlas, load
from brainnet.simulate.anatomy import Anatomy, simulate_anatomy
from brainnet.simulate.bold import BoldTruth, simulate_bold
from brainnet.simulate.connectome import PlantedNetwork, plant_network
from brainnet.simulate.disease import severity, uptake_by_label
from brainnet.simulate.pet import PetTruth, regional_suvr, simulate_pet

STAGES: Final = ("CN", "EMCI", "LMCI", "AD")
_TRUTH: Final = Path("sourcedata", "truth")
_PET: Final[dict[str, Any]] = {
    "Description": "Simulated static FDG PET",
    "Manufacturer": "none (simulated)",
    "ManufacturersModelName": "none (simulated)",
    "Units": "Bq/mL",
    "TracerName": "FDG",
    "TracerRadionuclide": "F18",
    "InjectedRadioactivity": 185.0,
    "InjectedRadioactivityUnits": "MBq",
    "InjectedMass": "n/a",
    "InjectedMassUnits": "n/a",
    "SpecificRadioactivity": "n/a",
    "SpecificRadioactivityUnits": "n/a",
    "ModeOfAdministration": "bolus",
    "BodyWeight": 70.0,
    "BodyWeightUnits": "kg",
    "TimeZero": "10:00:00",
    "ScanStart": 2400.0,
    "InjectionStart": 0.0,
    "FrameTimesStart": [2400.0],
    "FrameDuration": [1200.0],
    "AcquisitionMode": "3D",
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 0.0,
    "ReconMethodName": "simulated point spread",
    "ReconMethodParameterLabels": ["FWHM"],
    "ReconMethodParameterUnits": ["mm"],
    "ReconFilterType": "none",
    "AttenuationCorrection": "none (simulated)",
}
_README: Final = """# Simulated dataset

Every image here is simulated by brainnet; no person was scanned. The anatomy is the
MNI152NLin2009aSym grey and white matter, deformed by a random field for each subject, without a
skull. Resting BOLD carries a planted network, planted head motion and nuisance signals; all slices
of a volume are acquired at once, so there is no slice timing. The FDG PET is static. Grey matter,
metabolism and networks change with the stage in participants.tsv, by a rule that this simulation
chose: nothing here is evidence about the disease.

What is true of each subject is in sourcedata/truth:

- `*_desc-planted_relmat.tsv`: population correlation that the signals were drawn from;
  `*_desc-realised_relmat.tsv`: their sample correlation in this run, the best that a pipeline can
  find; `*_timeseries.tsv`: the signals.
- `*_motion.tsv`: one 4x4 matrix a volume (m00 to m33, by row), from the first volume's world to the
  volume's world, RAS mm. `*_from-boldref_to-T1w_xfm.tsv`, `*_from-pet_to-T1w_xfm.tsv`: 4x4 matrices
  that take a point of the first image's world to the second's.
- `*_regions.tsv`: grey matter (`volume`, ml), SUVR before (`suvr`) and after the scanner's blur
  (`suvr_blurred`), planted module, hub and damaged hub.
- `*_dseg.nii.gz`: the network atlas in the subject; `*_label-<tissue>_probseg.nii.gz`: tissue.
"""
_COLUMNS: Final[dict[str, Any]] = {
    "age": {"Description": "Simulated age", "Units": "year"},
    "sex": {"Description": "Simulated sex", "Levels": {"F": "female", "M": "male"}},
    "stage": {
        "Description": "Simulated stage of Alzheimer's disease",
        "Levels": {
            "CN": "cognitively normal",
            "EMCI": "early mild cognitive impairment",
            "LMCI": "late mild cognitive impairment",
            "AD": "Alzheimer's disease",
        },
    },
}


def simulate_dataset(
    out_dir: Path | str,
    *,
    n_subjects: int = 4,
    stages: Sequence[str] = STAGES,
    resolution: float = 2.0,
    atlas: str | Atlas = "DesikanKilliany",
    n_timepoints: int = 150,
    t_r: float = 2.0,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write a BIDS dataset of simulated T1w, resting BOLD and static FDG PET.

    Parameters
    ----------
    out_dir : path
        Folder of the dataset; existing files of the same name are replaced.
    n_subjects : int
        Subjects; their stages go round ``stages``.
    stages : sequence of str
        From CN, SMC, EMCI, LMCI, AD; a stage may be given more than once.
    resolution : float
        Voxel size of the T1w in mm. BOLD has 4 mm, PET 2 mm or the T1w's if larger.
    atlas : str or Atlas
        Regions between which the networks are planted.
    n_timepoints, t_r : int, float
        BOLD volumes, and seconds between them.
    seed : int
        The same seed and arguments give the same bytes.
    progress : callable, optional
        Called with one line of text a subject.

    Returns
    -------
    Path
        ``out_dir``. Truth lies in ``sourcedata/truth``; its README says what each file is.

    Raises
    ------
    ValueError
        If ``n_subjects`` is below 1, or a size is out of range.
    """
    if n_subjects < 1:
        raise ValueError(f"n_subjects must be at least 1; got {n_subjects}.")
    out_dir = Path(out_dir)
    network_atlas = load(atlas) if isinstance(atlas, str) else atlas
    table = _participants(n_subjects, stages, seed)
    for number, row in enumerate(table.itertuples()):
        if progress is not None:
            progress(f"{row.participant_id} ({row.stage}), {number + 1} of {n_subjects}")
        subject_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        _subject(
            out_dir,
            str(row.participant_id),
            str(row.stage),
            network_atlas,
            resolution=resolution,
            n_timepoints=n_timepoints,
            t_r=t_r,
            seed=subject_seed,
        )
    io.save_table(table, out_dir / "participants.tsv")
    io.save_json(_COLUMNS, out_dir / "participants.json")
    io.save_text(_README, out_dir / "README.md")
    io.save_json(_description("brainnet simulated dataset"), out_dir / "dataset_description.json")
    return out_dir


def add_pet(
    bids_dir: Path | str,
    out_dir: Path | str,
    subject: str,
    *,
    t1w_path: Path | str,
    labels_path: Path | str,
    stage: str = "CN",
    seed: int = 0,
) -> Path:
    """Make a BIDS dataset of a real subject's own scans, linked, and a simulated PET.

    Parameters
    ----------
    bids_dir : path
        Dataset of the subject; only read.
    out_dir : path
        New dataset, or one that an earlier call made for another subject.
    subject : str
        Label without ``sub-``. Only subjects without sessions.
    t1w_path : path
        The subject's processed T1w, in the space of the raw T1w.
    labels_path : path
        Desikan-Killiany labels on the grid of that T1w, as the anatomical workflow writes them.
    stage : str
        Whose uptake to simulate: CN, SMC, EMCI, LMCI or AD.
    seed : int
        Of the simulation.

    Returns
    -------
    Path
        The PET image in ``out_dir``.

    Raises
    ------
    DataError
        If the subject is not in ``bids_dir``, has sessions, or has PET already.
    """
    bids_dir, out_dir, name = Path(bids_dir), Path(out_dir), f"sub-{subject}"
    source = bids_dir / name
    if not source.is_dir():
        raise io.DataError(source, "there is no such subject", "Check the subject's label")
    if any(source.glob("ses-*")):
        raise io.DataError(source, "has sessions", "Give a dataset without sessions")
    if any(source.glob("pet/*_pet.nii*")):
        raise io.DataError(source, "already has PET", "Use the measured images")
    t1w_img, labels_img = io.load_img(t1w_path, ndim=3), io.load_img(labels_path, ndim=3)
    pet_img, truth = simulate_pet(t1w_img, labels_img, uptake_by_label(stage), seed=seed)
    for path in sorted([*source.rglob("*.*"), *bids_dir.glob("*_*.json")]):
        if path.is_file() and path.name != "dataset_description.json":
            _link(path, out_dir / path.relative_to(bids_dir))
    original = io.load_json(bids_dir / "dataset_description.json").get("Name", "a real dataset")
    io.save_json(
        _description(f"{original} with simulated PET"), out_dir / "dataset_description.json"
    )
    io.save_text(
        "# Real scans with simulated PET\n\nThe PET images are simulated by brainnet over real "
        "anatomy; all other scans are links to the source.\n",
        out_dir / "README.md",
    )
    _merge_participants(bids_dir, out_dir, name)
    atlas = load("DesikanKilliany")
    before, after = regional_suvr(truth, labels_img, atlas.indices, reference_labels_img=labels_img)
    rows = {"index": atlas.indices, "name": atlas.names, "suvr": before, "suvr_blurred": after}
    io.save_table(pd.DataFrame(rows), out_dir / _TRUTH / f"{name}_regions.tsv")
    _save_matrix(truth.pet_to_t1w, out_dir / _TRUTH / f"{name}_from-pet_to-T1w_xfm.tsv")
    return _save_pet(out_dir, name, pet_img)


def _participants(n_subjects: int, stages: Sequence[str], seed: int) -> pd.DataFrame:
    """Ages, sexes and stages; older with the stage."""
    rng = np.random.default_rng([seed, 6])
    given = [stages[number % len(stages)] for number in range(n_subjects)]
    ages = [round(70 + 4 * severity(stage) + 5 * rng.standard_normal()) for stage in given]
    width = max(2, len(str(n_subjects)))
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{number + 1:0{width}d}" for number in range(n_subjects)],
            "age": ages,
            "sex": rng.permutation([("F", "M")[number % 2] for number in range(n_subjects)]),
            "stage": given,
        }
    )


def _subject(
    out_dir: Path,
    name: str,
    stage: str,
    atlas: Atlas,
    *,
    resolution: float,
    n_timepoints: int,
    t_r: float,
    seed: int,
) -> None:
    """Simulate and write one subject."""
    anatomy = simulate_anatomy(atlas, stage=stage, resolution=resolution, seed=seed)
    network = plant_network(atlas, stage=stage, seed=seed)
    folder = out_dir / name
    io.save_img(anatomy.t1w_img, folder / "anat" / f"{name}_T1w.nii.gz")
    text = "Simulated T1w, skull-stripped: exactly 0 outside the brain"
    io.save_json({"Description": text}, folder / "anat" / f"{name}_T1w.json")
    bold_img, bold = simulate_bold(
        anatomy,
        network,
        atlas.indices,
        n_timepoints=n_timepoints,
        t_r=t_r,
        voxel_size=max(4.0, resolution),
        seed=seed,
    )
    io.save_img(bold_img, folder / "func" / f"{name}_task-rest_bold.nii.gz")
    sidecar = {
        "RepetitionTime": t_r,
        "TaskName": "rest",
        "Description": "Simulated resting BOLD; all slices of a volume acquired at once",
    }
    io.save_json(sidecar, folder / "func" / f"{name}_task-rest_bold.json")
    pet_img, pet = simulate_pet(
        anatomy.t1w_img,
        anatomy.structures_img,
        uptake_by_label(stage),
        tissue_imgs=anatomy.tissue_imgs,
        voxel_size=max(2.0, resolution),
        seed=seed,
    )
    _save_pet(out_dir, name, pet_img)
    _save_truth(out_dir / _TRUTH, name, atlas, (anatomy, network, bold, pet))


def _save_truth(
    folder: Path,
    name: str,
    atlas: Atlas,
    truth: tuple[Anatomy, PlantedNetwork, BoldTruth, PetTruth],
) -> None:
    """Write what is true of one subject."""
    anatomy, network, bold, pet = truth
    before, after = regional_suvr(
        pet, anatomy.labels_img, atlas.indices, reference_labels_img=anatomy.structures_img
    )
    planted = {"module": network.modules, "hub": network.hubs, "damaged_hub": network.damaged}
    regions = anatomy.volumes.assign(suvr=before, suvr_blurred=after, **planted)
    io.save_table(regions, folder / f"{name}_regions.tsv")
    io.save_matrix(bold.planted, atlas.names, folder / f"{name}_desc-planted_relmat.tsv")
    io.save_matrix(bold.realised, atlas.names, folder / f"{name}_desc-realised_relmat.tsv")
    series = pd.DataFrame(bold.timeseries, columns=atlas.names)
    io.save_table(series, folder / f"{name}_timeseries.tsv")
    columns = [f"m{row}{column}" for row in range(4) for column in range(4)]
    motion = pd.DataFrame(bold.motion.reshape(-1, 16), columns=columns)
    io.save_table(motion, folder / f"{name}_motion.tsv")
    _save_matrix(bold.boldref_to_t1w, folder / f"{name}_from-boldref_to-T1w_xfm.tsv")
    _save_matrix(pet.pet_to_t1w, folder / f"{name}_from-pet_to-T1w_xfm.tsv")
    io.save_img(anatomy.labels_img, folder / f"{name}_dseg.nii.gz")
    for tissue, img in anatomy.tissue_imgs.items():
        io.save_img(img, folder / f"{name}_label-{tissue}_probseg.nii.gz")


def _save_pet(out_dir: Path, name: str, pet_img: Nifti1Image) -> Path:
    """Write a PET image and its sidecar."""
    stem = out_dir / name / "pet" / f"{name}_trc-FDG_pet"
    io.save_json(
        _PET | {"ReconMethodParameterValues": [6.0], "ReconFilterSize": 0},
        stem.with_name(f"{stem.name}.json"),
    )
    return io.save_img(pet_img, stem.with_name(f"{stem.name}.nii.gz"))


def _save_matrix(matrix: np.ndarray, path: Path) -> None:
    """Write a 4x4 matrix as a table with columns c0 to c3."""
    io.save_table(pd.DataFrame(matrix, columns=["c0", "c1", "c2", "c3"]), path)


def _description(name: str) -> dict[str, Any]:
    """Content of dataset_description.json."""
    return {
        "Name": name,
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "Authors": ["brainnet.simulate"],
        "GeneratedBy": [{"Name": "brainnet", "Description": "simulation"}],
    }


def _link(source: Path, target: Path) -> None:
    """Link a file of the source dataset, replacing an earlier link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(source.resolve())


def _merge_participants(bids_dir: Path, out_dir: Path, name: str) -> None:
    """Add the subject's row to the new dataset's participants."""
    source, path = bids_dir / "participants.tsv", out_dir / "participants.tsv"
    row = pd.DataFrame({"participant_id": [name]})
    if source.exists():
        table = io.load_table(source, required=["participant_id"])
        found = table[table["participant_id"] == name]
        row = found if len(found) else row
    if path.exists():
        table = io.load_table(path, required=["participant_id"])
        row = pd.concat([table[table["participant_id"] != name], row], ignore_index=True)
    io.save_table(row.sort_values("participant_id"), path)
