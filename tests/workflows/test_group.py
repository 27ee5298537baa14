"""The group level on made-up derivatives: who is in, who is out and why, and what is simulated."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brainnet import atlas as atlases
from brainnet import cohort, io
from brainnet.bids import derivative_path, write_dataset_description
from brainnet.bids.ignore import Ignored
from brainnet.models.graph import estimator
from brainnet.workflows import group
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.settings import Settings

ATLAS = "DesikanKilliany"
LABELS = [f"{number:02d}" for number in range(1, 13)]
NAMES = atlases.load(ATLAS).names


@pytest.fixture(autouse=True)
def _few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = partial(estimator.GraphClassifier, n_epochs=2, n_hidden=4)
    monkeypatch.setattr(estimator, "GraphClassifier", quick)


def name(out: Path, label: str, datatype: str, suffix: str, **entities: str) -> Path:
    session = {"ses": entities.pop("ses")} if "ses" in entities else {}
    return derivative_path(
        out, {"sub": label, **session}, datatype=datatype, suffix=suffix, extension=".tsv",
        seg=ATLAS, **entities,
    )  # fmt: skip


def put_networks(out: Path, label: str, seed: int, **session: str) -> None:
    """Write a morphological and a metabolic network with their regional tables."""
    rng = np.random.default_rng(seed)
    for datatype, stat, suffix in (("anat", "volume", "morph"), ("pet", "mean", "pet")):
        weights = np.triu(rng.uniform(0.1, 0.9, (84, 84)).round(3), 1) + 0.1 * (seed % 2)
        weights = np.triu(weights, 1)
        path = name(out, label, datatype, "relmat", stat="jssimilarity", **session)
        io.save_matrix(weights + weights.T, NAMES, path)
        io.save_json({"Sources": []}, path.with_suffix(".json"))
        table = pd.DataFrame({"name": NAMES, "value": 1.0, "coverage": 1.0})
        io.save_table(table, name(out, label, datatype, suffix, stat=stat, **session))
        del table["value"]
        io.save_table(table, name(out, label, datatype, suffix, stat="coverage", **session))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Derivatives of twelve participants, of which odd ones are CN and even ones AD."""
    folder = tmp_path_factory.mktemp("made") / "derivatives"
    for seed, label in enumerate(LABELS):
        put_networks(folder, label, seed)
    io.save_json(
        {"Name": "brainnet results", "DatasetType": "derivative"},
        folder / "dataset_description.json",
    )
    return folder


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    """Return a copy to change."""
    return Path(shutil.copytree(made, tmp_path / "derivatives"))


def people(out: Path, **columns: list[object]) -> Path:
    table = pd.DataFrame({"participant_id": [f"sub-{label}" for label in LABELS]})
    table["stage"], table["age"] = ["CN", "AD"] * 6, range(60, 72)
    return io.save_table(table.assign(**columns), out.parent / "participants.tsv")


def simulate(out: Path, *labels: str) -> None:
    for label in labels:
        path = name(out, label, "pet", "relmat", stat="jssimilarity")
        io.save_json({"Simulated": True}, path.with_suffix(".json"))


def run(out: Path, participants: Path, **options: object) -> str:
    options = {"n_splits": 2, "notify": lambda _: None} | options
    return group.run(out, participants, **options).read_text()  # type: ignore[arg-type]


def test_measured_people_are_staged_without_a_banner(out: Path) -> None:
    page = run(out, people(out))
    assert 'class="fake"' not in page
    assert "measured in a person" not in page
    assert "12 participants found: 12 analysed, nobody left out." in page
    scores = io.load_table(out / "group_scores.tsv")
    assert set(scores["estimator"]) == {"majority", "linear", "graph"}


def test_everybody_is_in_the_flow_with_the_reason(out: Path) -> None:
    io.save_text("sub-03_bold.nii.gz: cut short. Copy it again\n", out / "logs" / "sub-03.failed")
    for path in (out / "sub-05").glob("*/*_relmat.tsv"):
        path.unlink()
    page = run(out, people(out, stage=["CN", "AD"] * 5 + ["CN", None]))
    assert "12 participants found: 9 analysed, 3 left out." in page
    assert "failed at the participant level: sub-03_bold.nii.gz: cut short" in page
    assert "no network: the participant level did not finish, or was not run" in page
    assert "no value in the column stage" in page
    assert "1 participants failed at the participant level and are left out" in page
    predicted = set(io.load_table(out / "group_predictions.tsv")["subject"])
    assert predicted == set(LABELS) - {"03", "05", "12"}


def test_one_simulated_modality_is_told_everywhere(out: Path) -> None:
    simulate(out, "02", "04")
    page = run(out, people(out))
    assert "the metabolic networks of 2 of 12 subjects are SIMULATED" in page
    assert "Made up by the program, not measured" in page
    assert "Nothing on this page was measured in a person" not in page
    assert "Partly simulated cohort" in page
    dataset = cohort.load(out / "cohort.nc")
    assert dataset.attrs["simulated"] == 1
    flags = dataset["simulated"].sel(modality="metabolic")
    assert dataset["subject"].values[flags.values == 1].tolist() == ["02", "04"]


def test_a_simulated_dataset_is_told_as_a_whole(out: Path) -> None:
    io.save_json({"Name": "simulated"}, out / "dataset_description.json")
    assert "Nothing on this page was measured in a person" in run(out, people(out))


@pytest.mark.parametrize("codes", [[0, 1], [True, False], [1.5, 0, None]])
def test_coded_targets_are_classes_on_the_page(out: Path, codes: list[object]) -> None:
    column = (codes * 6)[:12]
    page = run(out, people(out, dx=column), target="dx")
    known = [each for each in column if each is not None]
    assert f"12 participants found: {len(known)} analysed" in page
    stages = sorted(set(cohort.words(pd.Series(known, dtype=object))))
    assert io.load_json(out / "group_scores.json")["Stages"] == stages
    dataset = cohort.load(out / "cohort.nc")
    assert set(cohort.words(dataset["dx"].values)) - {"n/a"} == set(stages)


def test_a_target_with_a_name_the_cohort_needs(out: Path) -> None:
    page = run(out, people(out, network=["a", "b"] * 6), target="network")
    assert "renamed: network to participant_network" in page


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grow by one whenever the cohort is gathered."""
    calls: list[str] = []
    gather = group.gather

    def recorder(*arguments: object, **options: object) -> None:
        calls.append("gathered")
        gather(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(group, "gather", recorder)
    return calls


def test_a_change_of_any_file_gathers_again(
    out: Path, gathered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "stage", lambda folder, **_: folder / "cohort.json")
    participants = people(out)
    run(out, participants)
    run(out, participants)
    assert len(gathered) == 1
    volume = name(out, "01", "anat", "morph", stat="volume")
    io.save_table(io.load_table(volume).assign(value=2.0), volume)
    run(out, participants)
    assert float(cohort.load(out / "cohort.nc")["values"].sel(subject="01").max()) == 2
    simulate(out, "02")
    assert "1 of 12 subjects are SIMULATED" in run(out, participants)
    people(out, age=[50] * 12)
    run(out, participants)
    assert (cohort.load(out / "cohort.nc")["age"] == 50).all()
    io.save_json({"Name": "simulated"}, out / "dataset_description.json")
    run(out, participants)
    assert cohort.load(out / "cohort.nc").attrs["simulated"] == 1
    io.save_text("cut short", out / "logs" / "sub-01.failed")
    run(out, participants)
    assert cohort.load(out / "cohort.nc").sizes["subject"] == 11
    assert len(gathered) == 6


@pytest.fixture
def all_steps(monkeypatch: pytest.MonkeyPatch) -> list[Steps]:
    """Keep the steps of every run of the group level."""
    kept: list[Steps] = []

    def new(notify: Callable[[str], None]) -> Steps:
        kept.append(Steps(notify))
        return kept[-1]

    monkeypatch.setattr(group, "Steps", new)
    return kept


def test_a_second_run_computes_nothing(out: Path, all_steps: list[Steps]) -> None:
    first = run(out, people(out))
    assert run(out, people(out)) == first
    before, after = all_steps
    assert [each.skipped for each in before.results.values()] == [False] * 3
    assert [each.skipped for each in after.results.values()] == [True] * 3


def test_atlases_and_kinds_do_not_overwrite_one_another(out: Path, all_steps: list[Steps]) -> None:
    """Networks of Kullback-Leibler similarity beside the others: chosen, told apart, both kept."""
    for label in LABELS:
        for datatype in ("anat", "pet"):
            usual = name(out, label, datatype, "relmat", stat="jssimilarity")
            weights = io.load_matrix(usual)
            other = name(out, label, datatype, "relmat", stat="klsimilarity")
            io.save_matrix(weights.to_numpy() ** 2, list(weights), other)
    first = run(out, people(out))
    kl = Settings(connectome=["kl"])
    second = run(out, people(out), settings=kl)
    assert (out / "group.html").read_text() == first
    assert (out / "group_desc-kl.html").read_text() == second
    usual, other = (cohort.load(out / f"cohort{each}.nc") for each in ("", "_desc-kl"))
    assert (usual.attrs["kinds"], other.attrs["kinds"]) == ("pearson, js", "pearson, kl")
    np.testing.assert_allclose(other["edges"], usual["edges"] ** 2, atol=1e-12)
    assert "pearson, kl" in second
    run(out, people(out))
    run(out, people(out), settings=kl)
    assert all(each.skipped for steps in all_steps[2:] for each in steps.results.values())


def test_a_kind_that_nobody_has_names_those_there_are(out: Path) -> None:
    with pytest.raises(io.DataError, match=r"and kind.*networks of js.*--connectome"):
        run(out, people(out), settings=Settings(connectome=["kl"]))
    with pytest.raises(ValueError, match="tangent: it needs a reference of a group"):
        run(out, people(out), settings=Settings(connectome=["tangent"]))


def test_group_before_participant_says_so_and_writes_nothing(out: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    with pytest.raises(io.DataError, match="Run the participant level first"):
        run(nowhere, people(out))
    assert not nowhere.exists()
    nowhere.mkdir()
    with pytest.raises(io.DataError, match=r"holds no network.*Run the participant level first"):
        run(nowhere, people(out))
    assert not list(nowhere.iterdir())


@pytest.mark.parametrize(
    "options, word",
    [({"target": "dx"}, "no column dx"), ({"n_splits": 1}, "n_splits must be at least 2")],
)
def test_wrong_options_are_told_before_anything_runs(
    out: Path, options: dict[str, object], word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        run(out, people(out), **options)
    assert not (out / "cohort.nc").exists()


def test_two_people_are_told_how_many_are_needed(out: Path) -> None:
    participants = people(out)
    io.save_table(io.load_table(participants)[:2], participants)
    with pytest.raises(ValueError, match=r"2 classes with at least 2 .* got AD 1, CN 1"):
        run(out, participants)
    io.save_table(io.load_table(participants).assign(participant_id=["a", "b"]), participants)
    with pytest.raises(ValueError, match="none of the 12 participants with networks"):
        run(out, participants)
    assert not (out / "cohort.nc").exists()


def test_absent_is_absent_in_the_chosen_session(tmp_path: Path) -> None:
    folder = tmp_path / "derivatives"
    for seed, label in enumerate(LABELS):
        put_networks(folder, label, seed, ses="m12" if label != "07" else "m00")
    io.save_json({"Name": "results"}, folder / "dataset_description.json")
    page = run(folder, people(folder), session="ses-m12")
    assert "12 participants found: 11 analysed, 1 left out." in page
    assert "no network of session m12" in page


def test_sessions_do_not_overwrite_one_another(tmp_path: Path, all_steps: list[Steps]) -> None:
    folder, source = tmp_path / "derivatives", tmp_path / "source"
    for seed, label in enumerate(LABELS):
        put_networks(folder, label, seed, ses="01")
        put_networks(folder, label, seed + 50, ses="02")
    io.save_json({"Name": "source", "BIDSVersion": "1.10.0"}, source / "dataset_description.json")
    write_dataset_description(folder, source)
    table = people(folder, session_id=["ses-01"] * 12)
    io.save_table(
        pd.concat([io.load_table(table), io.load_table(table).assign(session_id="ses-02")]), table
    )
    first = run(folder, table, session="ses-01")
    second = run(folder, table, session="02")
    assert (folder / "group_ses-01.html").read_text() == first
    assert (folder / "group_ses-02.html").read_text() == second
    own = {(folder / f"cohort_ses-{each}.nc").read_bytes() for each in ("01", "02")}
    assert len(own) == 2
    run(folder, table, session="01")
    assert all(each.skipped for each in all_steps[-1].results.values())
    assert not (folder / "cohort.nc").exists()
    ignored = Ignored(folder)
    made = [each.name for each in folder.iterdir() if each.name.startswith(("cohort", "group"))]
    assert len(made) >= 10
    assert [each for each in made if each not in ignored] == []
