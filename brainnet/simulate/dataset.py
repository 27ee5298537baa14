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
            "SMC": "significant memory concern",
            "EMCI": "early mild cognitive impairment",
            "LMCI": "late mild cognitive impairment",
            "AD": "Alzheimer's disease",
        },
    },
}


def simulate_dataset(
    out_dir: Path | str,
    *,
    stages: Sequence[str] = STAGES,
    resolution: float = 2.0,
    atlas: str | Atlas = "DesikanKilliany",
    n_timepoints: int = 200,
    t_r: float = 3.0,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write a BIDS dataset of simulated T1w, resting BOLD and static FDG PET.

    Parameters
    ----------
    out_dir : path
        Folder of the dataset; existing files of the same name are replaced.
    stages : sequence of str
        The stage of each subject: one of CN, SMC, EMCI, LMCI, AD.
    resolution : float
        Voxel size of the T1w in mm. BOLD has 4 mm, PET 2 mm or the T1w's if larger.
    atlas : str or Atlas
        Regions between which the networks are planted.
    n_timepoints, t_r : int, float
        BOLD volumes, and seconds between them. The default ten minutes hold more frequencies
        between 0.01 and 0.1 Hz than there are regions, so the planted network is the sample's.
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
        If ``stages`` is empty or has an unknown stage, or a size is out of range.
    """
    if not stages:
        raise ValueError("stages must name at least one stage; got none.")
    out_dir = Path(out_dir)
    network_atlas = load(atlas) if isinstance(atlas, str) else atlas
    table = _participants(stages, seed)
    for number, row in enumerate(table.itertuples()):
        if progress is not None:
            progress(f"{row.participant_id} ({row.stage}), {number + 1} of {len(stages)}")
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


def _participants(stages: Sequence[str], seed: int) -> pd.DataFrame:
    """Ages, sexes and stages; older with the stage."""
    rng = np.random.default_rng([seed, 6])
    numbers = range(len(stages))
    ages = [round(70 + 4 * severity(stage) + 5 * rng.standard_normal()) for stage in stages]
    width = max(2, len(str(len(stages))))
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{number + 1:0{width}d}" for number in numbers],
            "age": ages,
            "sex": rng.permutation([("F", "M")[number % 2] for number in numbers]),
            "stage": list(stages),
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
