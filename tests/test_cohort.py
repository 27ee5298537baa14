"""Gathering: every number in its place, every defect refused by name."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from nibabel.nifti1 import Nifti1Image

from brainnet import cohort, io
from brainnet.atlas import Atlas
from brainnet.io import DataError, DataWarning
from brainnet.modalities import MODALITIES

NAMES = ["left_a", "left_b", "right_a", "right_b"]
PREFIX = {
    "functional": ("func", "task-rest", "pearsoncorrelation"),
    "morphological": ("anat", "", "jssimilarity"),
    "metabolic": ("pet", "trc-18FFDG", "jssimilarity"),
}


@pytest.fixture
def atlas():
    regions = pd.DataFrame({
        "index": [1, 2, 3, 4], "name": NAMES, "hemisphere": ["L", "L", "R", "R"],
        "network": ["Default", "n/a", "Default", "n/a"], "kind": "cortex",
        "x": [-9.0, -5.0, 9.0, 5.0], "y": 0.0, "z": 1.5,
    })  # fmt: skip
    labels = np.arange(1, 5, dtype=np.int32).reshape(4, 1, 1)
    return Atlas("Tiny", Nifti1Image(labels, np.eye(4)), regions, "MNI152NLin2009cAsym")


def network(seed):
    """A symmetric matrix in -1..1 that is read back exactly from a table."""
    weights = np.random.default_rng(seed).uniform(-0.9, 0.9, (4, 4)).round(3)
    weights = np.triu(weights, 1)
    return weights + weights.T


def put(out, subject, modality, weights, *, session="", extra="", names=NAMES):
    """Write a network as the participant workflow names it; returns its path."""
    datatype, entities, stat = PREFIX[modality]
    parts = [f"sub-{subject}", session, extra or entities, "seg-Tiny", f"stat-{stat}", "relmat.tsv"]
    folder = out / f"sub-{subject}" / session / datatype
    folder.mkdir(parents=True, exist_ok=True)
    return io.save_matrix(weights, names, folder / "_".join(each for each in parts if each))


def put_regional(path, stat, suffix, **columns):
    """Write the regional table that goes with a network."""
    stem = path.name.split("_stat-")[0]
    frame = pd.DataFrame({"name": columns.pop("names", NAMES)} | columns)
    return io.save_table(frame, path.with_name(f"{stem}_stat-{stat}_{suffix}.tsv"))


def people(*labels, **columns):
    return pd.DataFrame({"participant_id": [f"sub-{each}" for each in labels]} | columns)


@pytest.fixture
def out(tmp_path):
    """Two subjects: 01 with all modalities, 02 without PET."""
    for subject, modality, seed in [
        ("01", "functional", 1), ("01", "morphological", 2), ("01", "metabolic", 3),
        ("02", "functional", 4), ("02", "morphological", 5),
    ]:  # fmt: skip
        put(tmp_path, subject, modality, network(seed))
    return tmp_path


TWO = people("01", "02", stage=["CN", "AD"], age=[70, 71.5], sex=["F", None])


def test_every_network_lands_in_its_place(out, atlas):
    gathered = cohort.gather(out, TWO, atlas=atlas)
    assert dict(gathered.sizes) == {"subject": 2, "modality": 3, "region": 4, "region_to": 4}
    assert gathered["modality"].values.tolist() == list(MODALITIES)
    for subject, modality, seed in [
        ("01", "functional", 1), ("01", "metabolic", 3), ("02", "morphological", 5),
    ]:  # fmt: skip
        found = gathered["edges"].sel(subject=subject, modality=modality).values
        np.testing.assert_array_equal(found, network(seed))
    assert np.isnan(gathered["edges"].sel(subject="02", modality="metabolic")).all()
    assert gathered.attrs["atlas"] == "Tiny"
    assert gathered.attrs["space"] == "MNI152NLin2009cAsym"
    assert gathered.attrs["simulated"] == 0


def test_regions_and_participants_are_labelled(out, atlas):
    gathered = cohort.gather(out, TWO, atlas=atlas)
    assert gathered["hemisphere"].sel(region="right_a").item() == "R"
    assert gathered["network"].values.tolist() == ["Default", "n/a", "Default", "n/a"]
    assert gathered["x"].values.tolist() == [-9, -5, 9, 5]
    assert gathered["stage"].values.tolist() == ["CN", "AD"]
    assert gathered["age"].values.tolist() == [70, 71.5]
    assert gathered["sex"].values.tolist() == ["F", "n/a"]
    assert gathered["participant_id"].values.tolist() == ["sub-01", "sub-02"]


def test_ids_match_with_and_without_prefix_in_any_order_and_from_a_file(out, atlas):
    table = pd.DataFrame({"participant_id": ["02", "sub-01"], "stage": ["AD", "CN"]})
    path = io.save_table(table, out / "participants.tsv")
    for given in (table, path, None):
        assert cohort.gather(out, given, atlas=atlas)["stage"].values.tolist() == ["CN", "AD"]


def test_kinds_of_edges_are_chosen_and_not_mixed(out, atlas):
    path = put(out, "01", "functional", network(11))
    partial = path.with_name(path.name.replace("pearson", "partial"))
    path.rename(partial)
    put(out, "01", "functional", network(1))
    assert cohort.gather(out, TWO, atlas=atlas).attrs["kinds"] == "pearson, js"
    with pytest.warns(DataWarning, match=r"1 participants \(sub-02\) have no functional.*pearson"):
        gathered = cohort.gather(out, TWO, atlas=atlas, kinds=["partial"])
    assert gathered.attrs["kinds"] == "partial, js"
    functional = gathered["edges"].sel(modality="functional")
    np.testing.assert_array_equal(functional.sel(subject="01"), network(11))
    assert np.isnan(functional.sel(subject="02")).all()
    with pytest.raises(ValueError, match="must be of pearson"):
        cohort.gather(out, TWO, atlas=atlas, kinds="person")


def test_coverage_and_values_come_from_the_tables_beside(out, atlas):
    anat = out / "sub-01/anat/sub-01_seg-Tiny_stat-jssimilarity_relmat.tsv"
    put_regional(anat, "volume", "morph", value=[1.0, 2, 3, 4], coverage=[1.0, 1, 1, 1])
    put_regional(anat, "coverage", "morph", coverage=[1, 0.5, 0.25, 0])
    pet = out / "sub-01/pet/sub-01_trc-18FFDG_seg-Tiny_stat-jssimilarity_relmat.tsv"
    put_regional(pet, "mean_desc-suvr", "pet", value=[1.1, 1.2, None, 1.4], coverage=1.0)
    one = cohort.gather(out, TWO, atlas=atlas).sel(subject="01")
    assert one["values"].sel(modality="morphological").values.tolist() == [1, 2, 3, 4]
    assert one["coverage"].sel(modality="morphological").values.tolist() == [1, 0.5, 0.25, 0]
    np.testing.assert_array_equal(one["values"].sel(modality="metabolic"), [1.1, 1.2, np.nan, 1.4])
    assert np.isnan(one["values"].sel(modality="functional")).all()


def test_runs_are_averaged_in_fishers_z(out, atlas):
    one, two = network(1), network(9)
    one[2, :] = one[:, 2] = np.nan
    (out / "sub-01/func/sub-01_task-rest_seg-Tiny_stat-pearsoncorrelation_relmat.tsv").unlink()
    put(out, "01", "functional", one, extra="task-rest_run-1")
    put(out, "01", "functional", two, extra="task-rest_run-2")
    found = cohort.gather(out, TWO, atlas=atlas)["edges"].sel(subject="01", modality="functional")
    expected = np.tanh((np.arctanh(one) + np.arctanh(two)) / 2)
    expected[2], expected[:, 2] = two[2], two[:, 2]  # measured in the second run only
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_rest_is_taken_among_tasks_and_said(out, atlas):
    put(out, "01", "functional", network(7), extra="task-oneback")
    with pytest.warns(DataWarning, match=r"sub-01.*oneback, rest: rest is used"):
        gathered = cohort.gather(out, TWO, atlas=atlas)
    np.testing.assert_array_equal(gathered["edges"].sel(subject="01")[0], network(1))


def test_first_tracer_is_taken_and_said(out, atlas):
    put(out, "01", "metabolic", network(7), extra="trc-AV45")
    with pytest.warns(DataWarning, match="2 metabolic networks: sub-01_trc-18FFDG"):
        gathered = cohort.gather(out, TWO, atlas=atlas)
    np.testing.assert_array_equal(gathered["edges"].sel(subject="01")[2], network(3))


def test_sessions_are_chosen_not_mixed(tmp_path, atlas):
    put(tmp_path, "01", "functional", network(1), session="ses-m00")
    put(tmp_path, "01", "functional", network(2), session="ses-m12")
    with pytest.warns(DataWarning, match="m00, m12: m00 is used"):
        first = cohort.gather(tmp_path, people("01"), atlas=atlas)
    np.testing.assert_array_equal(first["edges"][0, 0], network(1))
    later = cohort.gather(tmp_path, people("01"), atlas=atlas, session="ses-m12")
    np.testing.assert_array_equal(later["edges"][0, 0], network(2))
    with pytest.raises(DataError, match="session 'm99'"):
        cohort.gather(tmp_path, people("01"), atlas=atlas, session="m99")


def test_runs_that_differ_in_more_than_the_run_are_said(out, atlas):
    """Opposite phase encodings of a task are averaged, as its runs are, but not in silence."""
    (out / "sub-01/func/sub-01_task-rest_seg-Tiny_stat-pearsoncorrelation_relmat.tsv").unlink()
    put(out, "01", "functional", network(1), extra="task-rest_dir-AP_run-1")
    put(out, "01", "functional", network(9), extra="task-rest_acq-fast_dir-PA_run-1")
    said = r"sub-01 has 2 functional networks of task rest .* acq \(fast, none\); dir \(AP, PA\)"
    with pytest.warns(DataWarning, match=said):
        found = cohort.gather(out, TWO, atlas=atlas)["edges"].sel(subject="01")[0]
    expected = np.tanh((np.arctanh(network(1)) + np.arctanh(network(9))) / 2)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("session", [None, "func"])
def test_anatomy_of_a_session_of_its_own_goes_with_function(tmp_path, atlas, session):
    put(tmp_path, "01", "morphological", network(2), session="ses-anat")
    put(tmp_path, "01", "functional", network(1), session="ses-func")
    with pytest.warns(DataWarning) as said:
        gathered = cohort.gather(tmp_path, people("01"), atlas=atlas, session=session)
    assert [str(each.message).partition(":")[0] for each in said] == [
        "sub-01 has no morphological network of session func"
    ]
    np.testing.assert_array_equal(gathered["edges"][0, 0], network(1))
    np.testing.assert_array_equal(gathered["edges"][0, 1], network(2))
    assert len(cohort.sources(tmp_path, "Tiny", session).files) == 2


def test_the_session_asked_for_keeps_its_own_anatomy(tmp_path, atlas):
    for session, seed in (("ses-m00", 1), ("ses-m12", 2)):
        put(tmp_path, "01", "morphological", network(seed), session=session)
    put(tmp_path, "01", "functional", network(3), session="ses-m12")
    later = cohort.gather(tmp_path, people("01"), atlas=atlas, session="m12")
    np.testing.assert_array_equal(later["edges"][0, 1], network(2))
    first = cohort.gather(tmp_path, people("01"), atlas=atlas, session="m00")
    assert np.isnan(first["edges"][0, 0]).all(), "function is not taken from another visit"


def test_the_default_session_has_function_or_measured_pet(tmp_path, atlas):
    """PET that was made up from the T1w image lies with it, and does not decide."""
    put(tmp_path, "01", "morphological", network(1), session="ses-a")
    simulate(put(tmp_path, "01", "metabolic", network(2), session="ses-a"))
    put(tmp_path, "01", "functional", network(3), session="ses-b")
    put(tmp_path, "01", "morphological", network(4), session="ses-c")
    with pytest.warns(DataWarning) as said:
        gathered = cohort.gather(tmp_path, people("01"), atlas=atlas)
    text = " ".join(str(each.message) for each in said)
    assert "sessions a, b, c: b is used, the others are not" in text
    assert "no morphological network of session b: that of session a is used" in text
    np.testing.assert_array_equal(gathered["edges"][0, 0], network(3))
    np.testing.assert_array_equal(gathered["edges"][0, 1], network(1))


def test_session_chooses_the_row_of_the_table(tmp_path, atlas):
    put(tmp_path, "01", "functional", network(1), session="ses-m12")
    table = people("01", "01", session_id=["ses-m00", "ses-m12"], stage=["CN", "SMC"])
    gathered = cohort.gather(tmp_path, table, atlas=atlas, session="m12")
    assert gathered["stage"].values.tolist() == ["SMC"]
    with pytest.raises(DataError, match="more than once: 01"):
        cohort.gather(tmp_path, table, atlas=atlas)


def test_who_stands_on_one_side_only_is_named(out, atlas):
    with pytest.warns(DataWarning) as said:
        gathered = cohort.gather(out, people("01", "07", stage=["CN", "AD"]), atlas=atlas)
    text = " ".join(str(each.message) for each in said)
    assert "1 participants have no networks and are left out: 07" in text
    assert "not in the table, so their columns are missing: 02" in text
    assert gathered["subject"].values.tolist() == ["01", "02"]
    assert gathered["stage"].values.tolist() == ["CN", "n/a"]


def test_no_table_at_all_is_said(out, atlas):
    with pytest.warns(DataWarning, match=r"no participants\.tsv"):
        gathered = cohort.gather(out, atlas=atlas)
    assert gathered["participant_id"].values.tolist() == ["sub-01", "sub-02"]


@pytest.mark.parametrize(
    "names, word",
    [
        (["left_b", "left_a", "right_a", "right_b"], "number 1 is 'left_b'.*atlas has 'left_a'"),
        (["left_a", "left_b", "right_a", "pons"], "missing right_b; not in the atlas pons"),
    ],
)
def test_regions_that_are_not_the_atlas_are_refused(out, atlas, names, word):
    path = put(out, "02", "functional", network(1), names=names)
    with pytest.raises(DataError, match=word) as error:
        cohort.gather(out, TWO, atlas=atlas)
    assert path.name in str(error.value)


def test_too_few_regions_are_refused(out, atlas):
    put(out, "02", "functional", network(1)[:3, :3], names=NAMES[:3])
    with pytest.raises(DataError, match="3 regions where the atlas has 4: missing right_b"):
        cohort.gather(out, TWO, atlas=atlas)


def test_regional_table_of_another_atlas_is_refused(out, atlas):
    anat = out / "sub-01/anat/sub-01_seg-Tiny_stat-jssimilarity_relmat.tsv"
    put_regional(anat, "coverage", "morph", coverage=1.0, names=NAMES[::-1])
    with pytest.raises(DataError, match="another order"):
        cohort.gather(out, TWO, atlas=atlas)


def test_directed_network_is_refused(out, atlas):
    weights = network(1)
    weights[0, 1] += 0.01
    put(out, "02", "functional", weights)
    with pytest.raises(DataError, match="not symmetric: left_a to left_b"):
        cohort.gather(out, TWO, atlas=atlas)


def test_wrong_tables_and_folders_are_refused(out, atlas, tmp_path):
    with pytest.raises(DataError, match=r"no column 'participant_id'; it has subject, stage"):
        cohort.gather(out, pd.DataFrame({"subject": ["01"], "stage": ["CN"]}), atlas=atlas)
    with pytest.raises(DataError, match="more than once: 01"):
        cohort.gather(out, people("01", "01"), atlas=atlas)
    with (
        pytest.warns(DataWarning),
        pytest.raises(DataError, match="more than one column for participant_region"),
    ):
        cohort.gather(out, people("01", "02", region=1, participant_region=2), atlas=atlas)
    with pytest.raises(DataError, match="not a folder"):
        cohort.gather(tmp_path / "nothing", TWO, atlas=atlas)
    other = Atlas("Other", atlas.labels_img, atlas.regions, atlas.space)
    with pytest.raises(DataError, match=r"no network.*'Other'"):
        cohort.gather(out, TWO, atlas=other)


def test_simulated_results_say_so(out, atlas):
    io.save_json({"Name": "brainnet results of a Simulated demo"}, out / "dataset_description.json")
    assert cohort.gather(out, TWO, atlas=atlas).attrs["simulated"] == 1


def test_unmeasured_region_is_nan_also_on_the_diagonal(out, atlas):
    weights = network(1)
    weights[1, :] = weights[:, 1] = np.nan
    put(out, "02", "functional", weights)
    edges = cohort.gather(out, TWO, atlas=atlas)["edges"].sel(subject="02")[0].values
    assert np.isnan(edges[1]).all()
    assert np.isnan(edges[:, 1]).all()
    assert edges[0, 0] == 0


@pytest.fixture
def gappy(out, atlas):
    """02 lacks PET and, in BOLD, region left_b."""
    weights = network(4)
    weights[1, :] = weights[:, 1] = np.nan
    put(out, "02", "functional", weights)
    return cohort.gather(out, TWO, atlas=atlas)


def test_impute_changes_no_number(gappy):
    kept = cohort.resolve_nan(gappy, "impute")
    xr.testing.assert_identical(kept.assign_attrs(gappy.attrs).drop_attrs(), gappy.drop_attrs())
    assert kept.attrs["nan_policy"] == "impute"
    assert "nan_policy" not in gappy.attrs


def test_drop_takes_the_region_from_everyone(gappy):
    kept = cohort.resolve_nan(gappy.sel(modality=["functional", "morphological"]), "drop")
    assert kept["region"].values.tolist() == ["left_a", "right_a", "right_b"]
    assert kept["region_to"].values.tolist() == ["left_a", "right_a", "right_b"]
    assert not np.isnan(kept["edges"]).any()
    assert kept.attrs["dropped_regions"] == "left_b"
    assert kept["x"].size == kept["coverage"].sizes["region"] == 3


def test_drop_does_not_drop_modalities(gappy):
    with pytest.raises(ValueError, match=r"metabolic of 02.*1 regions"):
        cohort.resolve_nan(gappy, "drop")


def test_fail_says_what_is_missing_and_passes_what_is_whole(gappy):
    with pytest.raises(ValueError, match="metabolic of 02"):
        cohort.resolve_nan(gappy, "fail")
    whole = gappy.sel(subject=["01"])
    assert cohort.resolve_nan(whole, "fail").attrs["nan_policy"] == "fail"
    with pytest.raises(ValueError, match="'impute', 'drop' or 'fail'"):
        cohort.resolve_nan(whole, "zero")


def test_round_trip_and_the_same_bytes(gappy, tmp_path):
    path = cohort.save(gappy, tmp_path / "one" / "cohort.nc")
    again = cohort.save(gappy.copy(deep=True), tmp_path / "two" / "cohort.nc")
    assert path.read_bytes() == again.read_bytes()
    back = cohort.load(path)
    xr.testing.assert_identical(back["edges"].drop_vars(["sex"]), gappy["edges"].drop_vars(["sex"]))
    assert back["sex"].values.tolist() == ["F", "n/a"]
    assert back.attrs == gappy.attrs


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_cut_file_is_refused(gappy, tmp_path, share):
    content = cohort.save(gappy, tmp_path / "cohort.nc").read_bytes()
    cut = tmp_path / "cut.nc"
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"cut\.nc.*not a whole netCDF"):
        cohort.load(cut)


def test_what_is_no_cohort_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        cohort.load(tmp_path / "none.nc")
    (tmp_path / "text.nc").write_text("hello")
    with pytest.raises(DataError, match="not a whole netCDF"):
        cohort.load(tmp_path / "text.nc")
    other = cohort.save(xr.Dataset({"a": ("b", [1.0])}), tmp_path / "other.nc")
    with pytest.raises(DataError, match="no cohort"):
        cohort.load(other)


def test_stages_are_in_the_order_of_the_disease():
    assert cohort.STAGES == ("CN", "SMC", "EMCI", "LMCI", "AD")


def simulate(path, answer=True):
    """Write the sidecar of a network that was made from simulated data."""
    io.save_json({"Simulated": answer}, path.with_suffix(".json"))


def test_simulated_networks_are_marked_and_said(out, atlas):
    simulate(put(out, "02", "metabolic", network(8)))
    simulate(put(out, "01", "metabolic", network(3)), answer=False)
    with pytest.warns(DataWarning, match="metabolic networks of 1 of 2 subjects are SIMULATED"):
        gathered = cohort.gather(out, TWO, atlas=atlas)
    assert gathered.attrs["simulated"] == 1
    assert gathered["simulated"].values.tolist() == [[0, 0, 0], [0, 0, 1]]


def test_a_dataset_that_says_so_is_simulated_where_it_has_networks(out, atlas):
    io.save_json({"Name": "simulated"}, out / "dataset_description.json")
    gathered = cohort.gather(out, TWO, atlas=atlas)
    assert gathered["simulated"].values.tolist() == [[1, 1, 1], [1, 1, 0]]


def test_a_measured_tracer_goes_before_a_simulated_one(out, atlas):
    simulate(put(out, "01", "metabolic", network(3)))
    put(out, "01", "metabolic", network(7), extra="trc-PIB")  # later by name
    with pytest.warns(DataWarning, match="only what was measured is used"):
        gathered = cohort.gather(out, TWO, atlas=atlas)
    np.testing.assert_array_equal(gathered["edges"].sel(subject="01")[2], network(7))
    assert gathered.attrs["simulated"] == 0


def fail(out, subject, text):
    return io.save_text(text, out / "logs" / f"sub-{subject}.failed")


def test_who_failed_is_left_out_and_named(out, atlas):
    fail(out, "02", "\nsub-02_bold.nii.gz: cut short\nmore\n")
    with pytest.warns(DataWarning, match=r"1 participants failed.*sub-02 \(sub-02_bold.*short\)"):
        gathered = cohort.gather(out, TWO, atlas=atlas)
    assert gathered["subject"].values.tolist() == ["01"]
    fail(out, "01", "no T1w")
    with pytest.raises(DataError, match=r"2 participants failed, sub-01 since: no T1w.*Run the"):
        cohort.gather(out, TWO, atlas=atlas)


def test_sources_lists_every_file_that_is_read(out, atlas, monkeypatch):
    anat = out / "sub-01/anat/sub-01_seg-Tiny_stat-jssimilarity_relmat.tsv"
    put_regional(anat, "volume", "morph", value=1.0)
    put_regional(anat, "coverage", "morph", coverage=1.0)
    simulate(put(out, "02", "metabolic", network(8)))
    fail(out, "03", "no T1w")
    io.save_json({"Name": "x"}, out / "dataset_description.json")
    seen = set()
    for name in ("load_table", "load_matrix", "load_json"):
        real = getattr(io, name)
        monkeypatch.setattr(io, name, lambda p, _r=real, **k: (seen.add(p), _r(p, **k))[1])
    with pytest.warns(DataWarning):
        cohort.gather(out, TWO, atlas=atlas)
    listed = cohort.sources(out, "Tiny").files
    assert len(set(listed)) == len(listed)
    assert set(listed) == seen | {out / "logs" / "sub-03.failed"}
    assert len(seen) == 6 + 1 + 2 + 1


@pytest.mark.parametrize("name", ["x", "network", "hemisphere", "subject", "simulated", "values"])
def test_columns_that_the_cohort_needs_are_renamed(out, atlas, tmp_path, name):
    with pytest.warns(DataWarning, match=f"renamed: {name} to participant_{name}"):
        gathered = cohort.gather(out, people("01", "02", **{name: ["p", "q"]}), atlas=atlas)
    back = cohort.load(cohort.save(gathered, tmp_path / "cohort.nc"))
    assert back[f"participant_{name}"].values.tolist() == ["p", "q"]
    assert back["x"].values.tolist() == [-9, -5, 9, 5]


STRANGE = {
    "MMSE total": [29, 17], "a/b": [1.5, 2.5], "int": ["p", "q"], "1st": [1, 2],
    "âge_年": [70, 80], "string2": ["u", "v"], "column_1": [5, 6],
    "scanner": [2**40 + 1, 3], "uid": [2**62 + 1, 4],
}  # fmt: skip


def test_any_column_of_a_participants_table_survives_the_file(out, atlas, tmp_path):
    table = people("01", "02", **STRANGE)
    gathered = cohort.gather(out, table, atlas=atlas)
    back = cohort.load(cohort.save(gathered, tmp_path / "cohort.nc"))
    assert set(STRANGE) < set(back.coords)
    assert set(back.data_vars) == {"edges", "coverage", "values", "simulated"}
    for name, values in STRANGE.items():
        assert cohort.words(back[name].values).tolist() == [str(each) for each in values], name
    again = cohort.save(back, tmp_path / "again.nc").read_bytes()
    assert cohort.save(cohort.load(tmp_path / "again.nc"), tmp_path / "c.nc").read_bytes() == again


def test_words_survive_a_table(tmp_path):
    for values in ([0, 1], [True, False], [0.5, 2.0], ["CN", "AD"], ["01", "1"], [1, None]):
        said = cohort.words(pd.Series(values))
        path = io.save_table(pd.DataFrame({"truth": said}), tmp_path / "t.tsv")
        assert cohort.words(io.load_table(path)["truth"]).tolist() == said.tolist()
