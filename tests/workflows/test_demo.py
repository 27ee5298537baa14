"""The demonstration's results against what its simulation planted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from brainnet import atlas, cohort, io
from brainnet.workflows import demo, group, participant
from brainnet.workflows.settings import Settings

ATLAS = "DesikanKilliany"
SETTINGS = Settings(quality="draft")


@pytest.fixture(scope="session")
def recovered(demo_dir: Path):
    return io.load_table(demo_dir / "recovery.tsv")


def test_planted_motion_is_recovered(recovered) -> None:
    assert recovered["motion_mm"].max() < 0.2
    assert recovered["motion_deg"].max() < 0.2


def test_coregistration_is_recovered(recovered) -> None:
    assert recovered["coregistration_mm"].max() < 1.0


def test_functional_network_is_recovered(recovered) -> None:
    assert recovered["network_r_realised"].min() >= 0.9


def test_suvr_is_recovered(recovered) -> None:
    """Against the noise-free image after the scanner's blur: no partial-volume correction yet."""
    assert recovered["suvr_error_blurred_max"].max() < 0.10


def test_every_network_has_all_regions_in_the_atlas_order(demo_dir: Path) -> None:
    names = atlas.load(ATLAS).names
    paths = sorted((demo_dir / "derivatives").glob("sub-*/**/*_relmat.tsv"))
    assert len(paths) == 3 * len(demo.STAGES)
    for path in paths:
        network = io.load_matrix(path)
        assert list(network.columns) == names
        assert list(network.index) == names


def test_every_result_has_a_sidecar(demo_dir: Path) -> None:
    derivatives = demo_dir / "derivatives"
    results = [
        path
        for path in derivatives.glob("sub-*/**/*")
        if path.is_file() and path.suffix != ".json" and not path.name.startswith(".")
    ]
    assert results
    for path in results:
        stem = path.name.removesuffix(".gz").rsplit(".", 1)[0]
        record = json.loads((path.parent / f"{stem}.json").read_text())["Brainnet"]
        assert record["Step"]
        assert set(record) >= {"Inputs", "Parameters", "Code", "Versions", "Seed", "Warnings"}


def test_pages_say_that_data_are_simulated(demo_dir: Path) -> None:
    derivatives = demo_dir / "derivatives"
    pages = [*derivatives.glob("sub-*.html"), derivatives / "group.html"]
    pages.append(demo_dir / "cohort" / "group.html")
    assert len(pages) == len(demo.STAGES) + 2
    for page in pages:
        text = page.read_text()
        assert "SIMULATED DATA" in text
        assert "http://" not in text.replace("http://www.w3.org", "")


def test_larger_cohort_is_staged_above_chance(demo_dir: Path) -> None:
    scores = io.load_table(demo_dir / "cohort" / "group_scores.tsv")
    balanced = scores[scores["metric"] == "balanced_accuracy"].set_index("estimator")
    assert balanced.loc["linear", "low"] > 0.25
    assert balanced.loc["multiplex", "low"] > 0.25
    assert balanced.loc["majority", "estimate"] == pytest.approx(0.25)


def test_cohort_holds_every_modality(demo_dir: Path) -> None:
    dataset = cohort.load(demo_dir / "derivatives" / "cohort.nc")
    assert dict(dataset.sizes) == {"subject": 4, "modality": 3, "region": 84, "region_to": 84}
    assert np.isfinite(dataset["edges"].values).all()
    assert set(dataset["stage"].values) == set(demo.STAGES)


def test_a_second_run_computes_nothing(demo_dir: Path) -> None:
    """Every step finds its record."""
    outcomes = participant.run(
        demo_dir / "bids", demo_dir / "derivatives", participant_label=["01"], settings=SETTINGS
    )
    assert outcomes[0].failures == []
    assert len(outcomes[0].steps) > 20
    assert [step.step for step in outcomes[0].steps if not step.skipped] == []


def _copy(demo_dir: Path, folder: Path) -> tuple[Path, Path]:
    """Copy one participant's scans and results, so that its steps are skipped."""
    bids, out = folder / "bids", folder / "derivatives"
    for source, target in ((demo_dir / "bids", bids), (demo_dir / "derivatives", out)):
        shutil.copytree(source / "sub-01", target / "sub-01")
        shutil.copy(source / "dataset_description.json", target)
    return bids, out


@pytest.mark.parametrize(
    "damage, word",
    [("half", "gzip"), ("zeros", "every voxel is 0"), ("nan", "finite"), ("empty", "empty")],
)
def test_a_broken_participant_does_not_stop_the_others(
    demo_dir: Path, tmp_path: Path, damage: str, word: str
) -> None:
    bids, out = _copy(demo_dir, tmp_path)
    broken = bids / "sub-99" / "anat" / "sub-99_T1w.nii.gz"
    _damage(bids / "sub-01" / "anat" / "sub-01_T1w.nii.gz", broken, damage)
    before = (out / "sub-01" / "sub-01_seg-DesikanKilliany_measures.tsv").read_bytes()
    good, bad = participant.run(bids, out, settings=SETTINGS)
    assert (good.label, good.failures) == ("01", [])
    assert len(bad.failures) == 1
    assert broken.name in bad.failures[0]
    assert word in bad.failures[0].lower()
    assert (out / "sub-01" / "sub-01_seg-DesikanKilliany_measures.tsv").read_bytes() == before
    assert not list((out / "sub-99").glob("**/*.nii.gz"))


def _damage(source: Path, target: Path, damage: str) -> None:
    import nibabel as nib

    target.parent.mkdir(parents=True)
    content = source.read_bytes()
    if damage in ("half", "empty"):
        target.write_bytes(content[: len(content) // 2] if damage == "half" else b"")
        return
    img = nib.load(source)
    value = 0.0 if damage == "zeros" else np.nan
    nib.save(nib.Nifti1Image(np.full(img.shape, value, np.float32), img.affine), target)


def test_a_broken_bold_leaves_the_other_networks(demo_dir: Path, tmp_path: Path) -> None:
    bids, out = _copy(demo_dir, tmp_path)
    bold = next(bids.glob("sub-01/func/*_bold.nii.gz"))
    bold.write_bytes(bold.read_bytes()[:-1000])
    (outcome,) = participant.run(bids, out, settings=SETTINGS)
    assert len(outcome.failures) == 1
    assert bold.name in outcome.failures[0]
    page = outcome.pages[0].read_text()
    assert bold.name in page
    measures = io.load_table(out / "sub-01" / "sub-01_seg-DesikanKilliany_measures.tsv")
    assert set(measures["modality"]) == {"morphological", "metabolic"}


def test_group_level_names_the_missing_column(demo_dir: Path, tmp_path: Path) -> None:
    table = io.load_table(demo_dir / "bids" / "participants.tsv").drop(columns="stage")
    io.save_table(table, tmp_path / "participants.tsv")
    with pytest.raises(io.DataError, match=r"participants\.tsv.*stage.*age"):
        group.run(demo_dir / "derivatives", tmp_path / "participants.tsv", target="stage")


def test_same_input_same_seed_same_bytes(demo_dir: Path, tmp_path: Path) -> None:
    """Run in this process what the demonstration ran in a worker: every byte is the same."""
    participant.run(
        demo_dir / "bids", tmp_path / "derivatives", participant_label=["01"], settings=SETTINGS
    )
    first, second = demo_dir / "derivatives", tmp_path / "derivatives"
    paths = [path.relative_to(first) for path in sorted(first.glob("sub-01*/**/*"))]
    paths = [path for path in [*paths, Path("sub-01.html")] if (first / path).is_file()]
    assert len(paths) > 60
    for path in paths:
        if not path.name.startswith("."):
            assert (first / path).read_bytes() == (second / path).read_bytes(), path
