"""ABIDE through nilearn's fetcher: its own code reads small files laid out as ABIDE's are."""

from pathlib import Path

import nilearn.datasets
import numpy as np
import pandas as pd
import pytest
import requests

from brainnet.cohort.public import fetch_abide
from brainnet.cohort.subjects import Subjects
from brainnet.io import DataError, DataWarning

N_REGIONS = 6
OK = {"qc_rater_1": "OK", "qc_anat_rater_2": "OK", "qc_func_rater_2": "maybe",
      "qc_anat_rater_3": "OK", "qc_func_rater_3": "OK"}  # fmt: skip


def _people() -> pd.DataFrame:
    sites = ["PITT", "PITT", "NYU", "NYU", "NYU"]
    return pd.DataFrame(
        {
            "Unnamed: 0": range(5),
            "SUB_ID": range(50003, 50008),
            "SITE_ID": sites,
            "FILE_ID": ["Pitt_0050003", "no_filename", *(f"NYU_005000{n}" for n in (5, 6, 7))],
            "DX_GROUP": [1, 1, 2, 1, 2],
            "AGE_AT_SCAN": [24.45, 19.0, 13.7, -9999.0, 17.5],
            "SEX": [1, 2, 2, 1, 1],
            "COMMENT": ['"well, moved"', "", "", "", ""],
            "func_mean_fd": [0.116, 0.2, 0.05, 0.07, np.nan],
            **{name: [value] * 4 + ["fail"] for name, value in OK.items()},
        }
    )


def _series(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(30, N_REGIONS))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """What a fetched ABIDE looks like."""
    folder = tmp_path / "ABIDE_pcp"
    series_dir = folder / "cpac" / "filt_noglobal"
    series_dir.mkdir(parents=True)
    people = _people()
    text = people.to_csv(index_label="", quoting=3, escapechar="\\").replace("\\,", ",")
    (folder / "Phenotypic_V1_0b_preprocessed1.csv").write_text(text)
    for seed, name in enumerate(people["FILE_ID"]):
        series = _series(seed)
        if name == "NYU_0050005":
            series[:, 2] = 0.0
        if name != "no_filename":
            np.savetxt(series_dir / f"{name}_rois_cc200.1D", series, header="\t".join(["#1", "#2"]))
    return tmp_path


def test_subjects_who_passed_become_a_cohort(data_dir: Path) -> None:
    cohort = fetch_abide(data_dir)
    assert dict(cohort.edges.sizes) == {
        "subject": 3, "modality": 1, "region": N_REGIONS, "region_to": N_REGIONS
    }  # fmt: skip
    assert cohort.participant_id.values.tolist() == ["sub-0050003", "sub-0050005", "sub-0050006"]
    assert cohort.diagnosis.values.tolist() == ["autism", "control", "autism"]
    assert cohort.site.values.tolist() == ["PITT", "NYU", "NYU"]
    assert cohort.sex.values.tolist() == ["M", "F", "M"]
    np.testing.assert_array_equal(cohort.age, [24.45, 13.7, np.nan])
    np.testing.assert_array_equal(cohort.motion, [0.116, 0.05, 0.07])
    want = np.corrcoef(_series(0).T) - np.eye(N_REGIONS)
    np.testing.assert_allclose(cohort.edges.values[0, 0], want, atol=1e-12)
    assert cohort.attrs["simulated"] == 0
    assert cohort.attrs["preprocessing"] == "cpac, filt_noglobal"


def test_a_region_without_signal_is_unmeasured(data_dir: Path) -> None:
    cohort = fetch_abide(data_dir)
    assert cohort.edges.isel(subject=1, modality=0, region=2).isnull().all()
    assert cohort.coverage.values[1, 0].tolist() == [1, 1, 0, 1, 1, 1]
    subjects = Subjects.from_cohort(cohort)
    assert subjects.present.tolist() == [[True]] * 3
    assert list(subjects.covariates) == ["age", "sex", "site", "motion"]


def test_choices_are_handed_on(data_dir: Path) -> None:
    assert fetch_abide(data_dir, sites=["PITT"]).participant_id.values.tolist() == ["sub-0050003"]
    assert fetch_abide(data_dir, n_subjects=2).sizes["subject"] == 2
    assert fetch_abide(data_dir, quality_checked=False).sizes["subject"] == 4
    with pytest.raises(DataError, match=r"nobody in ABIDE is as asked for. Check sites"):
        fetch_abide(data_dir, sites=["MARS"])
    with pytest.raises(ValueError, match=r"atlas must be one of cc200, .*; got 'schaefer'"):
        fetch_abide(data_dir, atlas="schaefer")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"pipeline must be one of cpac, .*; got 'fmriprep'"):
        fetch_abide(data_dir, pipeline="fmriprep")  # type: ignore[arg-type]


def test_without_a_network_the_message_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unplugged(**_: object) -> None:
        raise requests.exceptions.ConnectionError("Name or service not known " * 20)

    monkeypatch.setattr(nilearn.datasets, "fetch_abide_pcp", unplugged)
    with pytest.raises(DataError, match=r"cannot be fetched .*give the folder .* as data_dir"):
        fetch_abide(tmp_path)


def test_series_that_hold_nothing_are_left_out_and_unlike_ones_refused(data_dir: Path) -> None:
    folder = data_dir / "ABIDE_pcp" / "cpac" / "filt_noglobal"
    np.savetxt(folder / "NYU_0050006_rois_cc200.1D", np.zeros((30, N_REGIONS)))
    with pytest.warns(DataWarning, match=r"1 subjects of ABIDE hold nothing; .*0050006"):
        assert fetch_abide(data_dir).sizes["subject"] == 2
    np.savetxt(folder / "NYU_0050006_rois_cc200.1D", _series(1)[:, :5])
    with pytest.raises(DataError, match=r"have 6 regions, but not those of 0050006 \(5\)"):
        fetch_abide(data_dir)
