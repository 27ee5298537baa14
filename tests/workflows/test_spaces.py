"""Template space: what is planted lands where the chain of transforms says, interpolated once."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy.spatial.transform import Rotation

from brainnet import atlas as atlases
from brainnet import io
from brainnet.bids import Scan
from brainnet.imaging import resample
from brainnet.workflows import anatomical, functional, pet, spaces
from brainnet.workflows.choices import GROUPS, measure_names, output_spaces
from brainnet.workflows.engine.step import StepResult, run_step, sidecar_path
from brainnet.workflows.settings import Settings
from brainnet.workflows.transforms import save_matrices

MNI = "MNI152NLin2009cAsym"
FACTS = {"RepetitionTime": 2.0, "TaskName": "rest"}
BOLD_AFFINE = nib.affines.from_matvec(np.diag([-4.0, 4.0, 4.0]), [82.0, -110.0, -70.0])
BOLD_SHAPE = (42, 50, 40)


def pose(*degrees: float, shift: tuple[float, float, float]) -> np.ndarray:
    matrix = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return np.asarray(nib.affines.from_matvec(matrix, shift))


TO_BOLD = pose(4, -3, 6, shift=(5.0, -8.0, 7.0))
MOTION = np.stack([np.eye(4), pose(1, 2, -1, shift=(1, -2, 1)), pose(-2, 1, 2, shift=(-2, 1, 2))])


def displaced(points: np.ndarray) -> np.ndarray:
    """Carry points of MNI space to the T1w image's, mm (RAS): bends by up to 4 mm."""
    x, y, z = np.moveaxis(points, -1, 0)
    bend = [4 * np.sin(y / 25), 3 * np.cos(z / 30), 4 * np.sin(x / 28)]
    return np.asarray(points + np.stack(bend, axis=-1) + [3.0, -5.0, 2.0])


def world(img: Nifti1Image) -> np.ndarray:
    points = np.moveaxis(np.indices(img.shape[:3]), 0, -1)
    return np.asarray(nib.affines.apply_affine(img.affine, points))


def field_img() -> Nifti1Image:
    """Return the deformation as it is stored: on the 2 mm template, LPS."""
    template = atlases.template("mask", res=2)
    points = world(template)
    data = ((displaced(points) - points) * [-1, -1, 1])[:, :, :, None]
    img = Nifti1Image(data.astype(np.float32), template.affine)
    img.header.set_intent("vector")
    return img


def pattern(points: np.ndarray, wavelength: float) -> np.ndarray:
    """Return a plaid of 100 to 300 at points of the scanner's world, mm."""
    waves = np.sin(2 * np.pi * points / wavelength + [0.3, 1.1, 2.0])
    return np.asarray(200 + 100 * waves.mean(axis=-1))


def chain(points: np.ndarray, volume: int) -> np.ndarray:
    """Carry points of MNI space to the world of one volume."""
    return nib.affines.apply_affine(MOTION[volume] @ TO_BOLD, displaced(points))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    grid = Nifti1Image(np.zeros(BOLD_SHAPE, np.uint8), BOLD_AFFINE)
    t1w = Nifti1Image(np.zeros((90, 110, 90), np.uint8), nib.affines.from_matvec(
        np.diag([2.0, 2.0, 2.0]), [-90.0, -120.0, -75.0]))  # fmt: skip
    brain = (np.linalg.norm(world(t1w) - [3, -22, 10], axis=-1) < 45).astype(np.uint8)
    images = {"to_mni": field_img(), "mask": Nifti1Image(brain, t1w.affine)}
    for wavelength in (16.0, 40.0):
        values = pattern(world(grid), wavelength).astype(np.float32)
        series = np.stack([values] * len(MOTION), axis=-1)
        images[f"bold{wavelength:.0f}"] = Nifti1Image(series, BOLD_AFFINE)
    made = {key: io.save_img(img, tmp_path / f"{key}.nii.gz") for key, img in images.items()}
    made["motion"] = save_matrices(MOTION, tmp_path / "motion.txt")
    made["to_t1w"] = save_matrices(TO_BOLD, tmp_path / "to_t1w.txt")
    return made


def carry(files: dict[str, Path], bold: str, *, res: str | None = "2") -> StepResult:
    folder = files["motion"].parent
    others = {key: files[key] for key in ("motion", "to_t1w", "to_mni", "mask")}
    return run_step(
        "BOLD in template space", spaces.resample_bold, inputs={"bold": files[bold]} | others,
        outputs={"bold": folder / "out_bold.nii.gz", "mask": folder / "out_mask.nii.gz"},
        parameters={"res": res, "facts": FACTS},
    )  # fmt: skip


def errors(img: Nifti1Image, inside: np.ndarray, wavelength: float) -> np.ndarray:
    """Return the root mean square error within the brain of each volume."""
    points = world(img)[inside]
    data = img.get_fdata()[inside]
    truth = [pattern(chain(points, volume), wavelength) for volume in range(len(MOTION))]
    return np.sqrt(((data - np.stack(truth, axis=-1)) ** 2).mean(axis=0))


def test_each_volume_lands_where_the_chain_says(files: dict[str, Path]) -> None:
    result = carry(files, "bold40")
    img, mask = (io.load_img(result.outputs[key]) for key in ("bold", "mask"))
    template = atlases.template("mask", res=2)
    for each in (img, mask):
        assert each.shape[:3] == template.shape
        np.testing.assert_allclose(each.affine, template.affine)
    inside = mask.get_fdata() > 0
    assert errors(img, inside, 40.0).max() < 0.5  # of 200 from trough to crest
    wrong = errors(Nifti1Image(img.get_fdata()[..., [1, 2, 0]], img.affine), inside, 40.0)
    assert wrong.min() > 4, "the volumes' own motion must matter"


def test_its_mask_is_the_brain_that_every_volume_measured(files: dict[str, Path]) -> None:
    whole = io.load_img(files["bold40"])
    io.save_img(Nifti1Image(whole.get_fdata(dtype=np.float32)[:, :, :30], BOLD_AFFINE),
                files["bold40"])  # fmt: skip
    mask = io.load_img(carry(files, "bold40").outputs["mask"])
    points = world(mask)
    distance = np.linalg.norm(displaced(points) - [3, -22, 10], axis=-1)
    found = mask.get_fdata() > 0
    assert not found[distance > 47].any()
    top = (np.array([42, 50, 30]) - 1) * np.abs(np.diagonal(BOLD_AFFINE)[:3])
    low = np.minimum(BOLD_AFFINE[:3, 3], BOLD_AFFINE[:3, 3] + np.sign([-1, 1, 1]) * top)
    at = np.stack([chain(points, volume) for volume in range(len(MOTION))])
    margin = np.minimum(at - low, low + top - at).min(axis=(0, -1))  # inside every volume by
    assert found[(distance < 43) & (margin > 1)].all()
    assert (margin[distance < 43] < -3).any(), "the run must cut the brain"
    assert not found[margin < -3].any()


def test_one_interpolation_keeps_what_two_blur(files: dict[str, Path]) -> None:
    """Wavelength four voxels: twice through cubic splines loses far more of it than once."""
    once = carry(files, "bold16")
    inside = io.load_img(once.outputs["mask"]).get_fdata() > 0
    bold_img, mask_img = io.load_img(files["bold16"]), io.load_img(files["mask"])
    native = resample.target_grid(mask_img, 4.0, crop_to_mask=mask_img)
    first = resample.resample_series(bold_img, native, MOTION @ TO_BOLD)
    template = atlases.template("mask", res=2)
    twice = resample.resample_series(first, template, displacement_img=io.load_img(files["to_mni"]))
    deep = inside & (np.linalg.norm(displaced(world(template)) - [3, -22, 10], axis=-1) < 35)
    single = errors(io.load_img(once.outputs["bold"]), deep, 16.0)
    double = errors(twice, deep, 16.0)
    assert (double > 1.3 * single).all()


def test_sidecars_hold_what_the_standard_asks_for(files: dict[str, Path]) -> None:
    result = carry(files, "bold40")
    bold, mask = (io.load_json(sidecar_path(result.outputs[key])) for key in ("bold", "mask"))
    assert {
        "RepetitionTime": 2.0,
        "TaskName": "rest",
        "SkullStripped": False,
    }.items() <= bold.items()
    assert io.load_img(files["bold40"]).header.get_zooms()[3] == 1
    assert io.load_img(result.outputs["bold"]).header.get_zooms()[3] == 2
    assert "2 mm" in bold["Resolution"]
    assert mask["Type"] == "Brain"


@pytest.mark.parametrize("res", ["native", None])
def test_native_keeps_the_voxel_size_of_the_run(files: dict[str, Path], res: str | None) -> None:
    result = carry(files, "bold40", res=res)
    img = io.load_img(result.outputs["bold"])
    np.testing.assert_allclose(img.header.get_zooms()[:3], 4.0, rtol=1e-6)
    template = atlases.template("mask", res=1)
    ends = [nib.affines.apply_affine(each.affine, [-0.5] * 3) for each in (img, template)]
    assert np.abs(ends[0] - ends[1]).max() < 4
    inside = io.load_img(result.outputs["mask"]).get_fdata() > 0
    assert errors(img, inside, 40.0).max() < 0.5
    sidecar = io.load_json(sidecar_path(result.outputs["bold"]))
    assert ("Resolution" in sidecar) == (res is not None)


def test_a_series_too_large_to_be_read_again_is_refused(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(io, "MAX_IMAGE_BYTES", 10_000_000)
    with pytest.raises(io.DataError, match=r"bold40.*3 volumes of 97 x 115 x 97.*--output-spaces"):
        carry(files, "bold40")


def test_uptake_lands_where_the_chain_says_in_units_of_the_reference(
    files: dict[str, Path], tmp_path: Path
) -> None:
    series = io.load_img(files["bold40"])
    scan = io.save_img(Nifti1Image(series.get_fdata(dtype=np.float32)[..., 0], series.affine),
                       tmp_path / "pet.nii.gz")  # fmt: skip
    suvr = io.save_img(io.load_img(scan), tmp_path / "suvr.nii.gz")  # its voxels are not read
    known = {"ReferenceRegion": "brainstem", "ReferenceMean": 50.0, "Units": "SUVR"}
    io.save_json(known, sidecar_path(suvr))
    result = run_step(
        "PET in template space", spaces.resample_suvr,
        inputs={"scan": scan, "pet": scan, "suvr": suvr}
        | {key: files[key] for key in ("to_t1w", "to_mni", "mask")},
        outputs={"suvr": tmp_path / "out_pet.nii.gz", "mask": tmp_path / "out_mask.nii.gz"},
        parameters={"res": "2", "voxel_size": 2.0, "simulated": True},
    )  # fmt: skip
    img, mask = (io.load_img(result.outputs[key]) for key in ("suvr", "mask"))
    inside = mask.get_fdata() > 0
    points = nib.affines.apply_affine(TO_BOLD, displaced(world(img)[inside]))
    error = img.get_fdata()[inside] - pattern(points, 40.0) / 50
    assert np.sqrt((error**2).mean()) < 0.01
    sidecar = io.load_json(sidecar_path(result.outputs["suvr"]))
    assert known.items() <= sidecar.items()
    assert sidecar["Simulated"] is True


@pytest.mark.parametrize("res", ["2", None])
def test_anatomy_lands_where_the_deformation_says(
    files: dict[str, Path], tmp_path: Path, res: str | None
) -> None:
    mask_img = io.load_img(files["mask"])
    t1w = pattern(world(mask_img), 40.0).astype(np.float32)
    maps = {"t1w": t1w} | {label: t1w / 400 for label in spaces.TISSUES}
    inputs = {
        key: io.save_img(Nifti1Image(data, mask_img.affine), tmp_path / f"{key}.nii.gz")
        for key, data in maps.items()
    }
    keys = ["mask", *spaces.TISSUES, *(["t1w"] if res else [])]
    result = run_step(
        "T1w in template space", spaces.resample_anatomy,
        inputs=inputs | {"mask": files["mask"], "to_mni": files["to_mni"]},
        outputs={key: tmp_path / f"out_{key}.nii.gz" for key in keys},
        parameters={"res": res},
    )  # fmt: skip
    grey = io.load_img(result.outputs["GM"])
    at = displaced(world(grey))
    distance = np.linalg.norm(at - [3, -22, 10], axis=-1)
    inside = io.load_img(result.outputs["mask"]).get_fdata() > 0
    np.testing.assert_array_equal(inside[np.abs(distance - 45) > 2], (distance < 45)[
        np.abs(distance - 45) > 2])  # fmt: skip
    truth = pattern(at, 40.0)
    assert np.abs(grey.get_fdata() - truth / 400)[inside].max() < 0.02
    if res:
        brain = io.load_img(result.outputs["t1w"]).get_fdata()
        assert np.abs(brain - truth)[distance < 40].max() < 2
        assert not brain[distance > 52].any(), "the brain alone"
        assert io.load_json(sidecar_path(result.outputs["t1w"]))["SkullStripped"] is True


class _Recorder:
    """Stands in for Steps: runs nothing and keeps the names of outputs."""

    def __init__(self) -> None:
        self.outputs: dict[str, list[str]] = {}

    def run(self, name: str, function: object, **given: Any) -> None:
        names = [path.name for path in given["outputs"].values()]
        self.outputs.setdefault(name, []).extend(names)

    def warn(self, text: str) -> None:
        raise AssertionError(text)


def test_images_bear_the_names_that_fmriprep_gives(tmp_path: Path) -> None:
    settings = Settings(output_spaces=["T1w", f"{MNI}:res-2", f"{MNI}:res-native", MNI])
    steps: Any = _Recorder()
    t1w = Scan(tmp_path / "sub-1_T1w.nii.gz", "1", None, {"sub": "1"}, "T1w", "anat")
    anatomy = anatomical.run(t1w, tmp_path, settings, steps)
    entities = {"sub": "1", "task": "rest", "dir": "AP", "run": "2"}
    bold = Scan(tmp_path / "b.nii.gz", "1", None, entities, "bold", "func", FACTS)
    functional.run(bold, anatomy, tmp_path, settings, steps)
    scan = Scan(tmp_path / "p.nii.gz", "1", None, {"sub": "1", "trc": "FDG"}, "pet", "pet")
    pet.run(scan, anatomy, tmp_path, settings, steps)
    stem = "sub-1_task-rest_dir-AP_run-2_space-"
    assert steps.outputs["BOLD in template space"] == [
        f"{stem}{MNI}{res}_desc-{what}.nii.gz"
        for res in ("_res-2", "_res-native", "")
        for what in ("preproc_bold", "brain_mask")
    ]
    assert (
        f"sub-1_trc-FDG_space-{MNI}_res-2_desc-suvr_pet.nii.gz"
        in steps.outputs["PET in template space"]
    )
    assert steps.outputs["T1w in template space"] == [
        f"sub-1_space-{MNI}{name}.nii.gz"
        for name in (
            "_res-2_desc-brain_mask", "_res-2_label-GM_probseg", "_res-2_label-WM_probseg",
            "_res-2_label-CSF_probseg", "_res-2_desc-preproc_T1w", "_desc-brain_mask",
            "_label-GM_probseg", "_label-WM_probseg", "_label-CSF_probseg",
        )
    ]  # fmt: skip
    assert f"{stem}T1w_desc-preproc_bold.nii.gz" in steps.outputs["single resampling"]
    written = [name for names in steps.outputs.values() for name in names]
    assert len(set(written)) == len(written)


def test_nothing_is_written_that_is_not_asked_for(tmp_path: Path) -> None:
    steps: Any = _Recorder()
    t1w = Scan(tmp_path / "sub-1_T1w.nii.gz", "1", None, {"sub": "1"}, "T1w", "anat")
    anatomical.run(t1w, tmp_path, Settings(), steps)
    assert "T1w in template space" not in steps.outputs


@pytest.mark.parametrize("name", ["MNI152NLin6Asym", "", "T1w:res-2", f"{MNI}:res-3", f"{MNI}:2"])
def test_an_unknown_space_names_the_known_ones(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"--output-spaces.*T1w, {MNI}, {MNI}:res-1.*got '{name}'"
    ):
        Settings(output_spaces=["T1w", name])


def test_several_resolutions_of_one_template() -> None:
    found = output_spaces([f"{MNI}:res-1:res-2", "T1w", f"{MNI}:res-2"])
    assert [each.voxel_size for each in found] == [1, 2]


@pytest.mark.parametrize(
    "measures, word",
    [
        (["modularty"], r"got 'modularty'\. The closest: modularity"),
        (["standrad"], "The closest: standard"),
        (["none", "degree"], "none alone"),
        ([], "got nothing"),
    ],
)
def test_an_unknown_measure_names_the_closest(measures: list[str], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Settings(measures=measures)


def test_every_measure_is_in_a_group_beside_all() -> None:
    named = {name for group in ("integration", "segregation", "centrality", "resilience")
             for name in measure_names([group])}  # fmt: skip
    assert set(measure_names(["all"])) - named == {"density"}
    assert sorted(measure_names(["binary"]) + measure_names(["weighted"])) == sorted(
        measure_names(["all"])
    )
    assert all(measure_names([group]) for group in GROUPS)
