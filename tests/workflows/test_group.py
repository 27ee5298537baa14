"""The group level on made-up derivatives: who is in, who is out and why, and what is simulated."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from brainnet import atlas as atlases
from brainnet import cli, cohort, io
from brainnet.bids import derivative_path, write_dataset_description
from brainnet.bids.ignore import Ignored
from brainnet.evaluate import jobs
from brainnet.models import catalogue
from brainnet.models.covariates import covariate_logistic
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.linear import majority
from brainnet.report import figures
from brainnet.workflows import group, group_staging, stage
from brainnet.workflows.engine import code
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.settings import Settings

ATLAS = "DesikanKilliany"
LABELS = [f"{number:02d}" for number in range(1, 13)]
NAMES = atlases.load(ATLAS).names


def quick(names: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
    """Return small models in place of the catalogue's."""
    small = GraphClassifier(n_epochs=2, n_hidden=4, seed=seed)
    made = {"majority": majority(), "covariates": covariate_logistic(seed=seed),
            "linear": DummyClassifier(strategy="stratified", random_state=seed)}  # fmt: skip
    return {name: made.get(name, small) for name in names}


@pytest.fixture(autouse=True)
def _small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "estimators", quick)
    monkeypatch.setattr(group_staging, "DEFAULT", ("majority", "linear", "multiplex"))


@pytest.fixture(autouse=True)
def _no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing is tried in one test, and takes half of the time."""
    if "drawn" in request.fixturenames:
        return
    empty = b"\x89PNG\r\n\x1a\n" + bytes(16)
    for each in ("score", "confusion", "roc", "reliability"):
        monkeypatch.setattr(figures, f"{each}_plot", lambda *_, **__: empty)
    monkeypatch.setattr(figures, "stage_matrices", lambda *_, **__: empty)


@pytest.fixture
def drawn() -> None:
    """Draw the figures."""


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
    options = {"design": group.Design(n_splits=2)} | options
    return group.run(out, participants, **options).read_text()  # type: ignore[arg-type]


def test_measured_people_are_staged_without_a_banner(out: Path) -> None:
    page = run(out, people(out))
    assert 'class="fake"' not in page
    assert "measured in a person" not in page
    assert "12 participants found: 12 analysed, nobody left out." in page
    scores = io.load_table(out / "group_scores.tsv")
    assert set(scores["estimator"]) == {"majority", "linear", "multiplex"}


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


@pytest.mark.parametrize(
    "column, labels, scheme, stages, said",
    [
        ("stage", ["NL", "MCI to Dementia", "CN", "Dementia"], None, ["CN", "AD"], "NL is CN"),
        ("CDRTOT", [0, 0.5, 0, 2], None, ["CN", "MCI", "AD"], "CDRTOT is read as stages: 0 is CN"),
        ("DXCURREN", [1, 2, 3, 3], None, ["CN", "MCI", "AD"], "2 is MCI"),
        ("stage", ["CN", "EMCI", "LMCI", "AD"], None, ["CN", "EMCI", "LMCI", "AD"], None),
        ("stage", ["CN", "EMCI", "LMCI", "AD"], "three", ["CN", "MCI", "AD"], "EMCI is MCI"),
    ],
)
def test_stages_go_by_the_names_of_every_study(
    out: Path,
    column: str,
    labels: list[object],
    scheme: Literal["three"] | None,
    stages: list[str],
    said: str | None,
) -> None:
    design = group.Design(n_splits=2, estimators=("majority", "linear"), scheme=scheme)
    page = run(out, people(out, **{column: labels * 3}), target=column, design=design)
    assert io.load_json(out / "group_scores.json")["Stages"] == stages
    assert set(cohort.load(out / "cohort.nc")[column].values) == set(stages)
    assert ("is read as stages" in page) == (said is not None)
    assert said is None or said in page


def test_labels_that_are_no_stages_are_told_before_anything_runs(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = people(out, stage=["NL", "Dementia", "FTD"] * 4)
    assert cli.main([str(out.parent), str(out), "group", "--participants", str(table)]) == 2
    told = capsys.readouterr().err
    assert "participants.tsv, column stage: holds what is no stage" in told
    assert "'FTD' (4 rows)" in told
    assert "n/a leaves a participant out" in told
    assert "Traceback" not in told
    assert not (out / "cohort.nc").exists()


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
    assert [each.skipped for each in before.results.values()] == [False] * 4
    assert [each.skipped for each in after.results.values()] == [True] * 4
    run(out, people(out), n_jobs=2)
    assert all(each.skipped for each in all_steps[-1].results.values()), "it changes no result"
    model = {path: path.read_bytes() for path in (out / "model-multiplex").iterdir()}
    (out / "model-multiplex" / "card.json").unlink()  # which is no output of the step
    run(out, people(out))
    assert {path: path.read_bytes() for path in (out / "model-multiplex").iterdir()} == model
    again = [name for (name, _), each in all_steps[-1].results.items() if not each.skipped]
    assert again == ["model for new participants"]


def test_a_stopped_comparison_goes_on_where_it_was(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[str] = []
    fit, last = jobs.fit_clone, [3]

    def stopping(estimator: Any, *given: Any) -> Any:
        fits.append(type(estimator).__name__)
        if len(fits) == last[0]:
            raise KeyboardInterrupt
        return fit(estimator, *given)

    monkeypatch.setattr(jobs, "fit_clone", stopping)
    design = group.Design(estimators=("majority", "linear"), n_splits=2)
    with pytest.raises(KeyboardInterrupt):
        run(out, people(out), design=design)
    kept = out / ".group_scores_folds"
    assert len(list(kept.glob("*/*.json"))) == 2
    assert not (out / "group_scores.tsv").exists()
    run(out, people(out), design=design)
    assert len(fits) == 3 + 2
    assert not kept.exists()
    whole = io.load_table(out / "group_predictions.tsv")
    (out / "group_predictions.tsv").unlink()
    run(out, people(out), design=design)
    assert len(fits) == 5 + 4
    pd.testing.assert_frame_equal(whole, io.load_table(out / "group_predictions.tsv"))


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
    [
        ({"target": "dx"}, "no column dx"),
        ({"design": group.Design(n_splits=1)}, "n_splits must be at least 2"),
        ({"design": group.Design(n_repeats=0)}, "n_repeats must be at least 1"),
        ({"design": group.Design(estimators=("gnc",))}, r"of majority, .*gcn.*got gnc"),
    ],
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


def test_the_saved_model_stages_new_people(out: Path, tmp_path: Path) -> None:
    """All that the group level writes serves the next command."""
    page = run(out, people(out))
    model = group.model_of(out / "group.html")
    assert model == out / "model-multiplex"
    assert "saved in model-multiplex" in page
    card = io.load_json(model / "card.json")
    scores = io.load_table(out / "group_scores.tsv").set_index(["estimator", "metric"])
    own = scores.loc["multiplex", "balanced_accuracy"]
    assert card["scores"]["balanced_accuracy"] == own.to_dict()
    assert card["cohort"]["n"] == {"AD": 6, "CN": 6}
    assert card["cohort"]["age"] == [60, 71]
    assert card["modalities"] == ["morphological", "metabolic"]
    assert card["conformal"]["n"] == 12
    assert card["evaluation"]["verdict"]
    assert card["preprocessing"]["record"]["metabolic"] == {"scan": {"tracer": ["FDG"]}} or (
        "unrecorded" in card["preprocessing"]["record"]["metabolic"]
    )
    new = tmp_path / "new"
    put_networks(new, "99", 99)
    io.save_json({"Name": "new", "DatasetType": "derivative"}, new / "dataset_description.json")
    result = stage.run(model, new)
    table = io.load_table(result.table)
    assert table["participant_id"].tolist() == ["sub-99"]
    assert set(table["set"].iloc[0].split(", ")) <= {"CN", "AD"}
    assert table["missing"].isna().all()


@pytest.mark.usefixtures("drawn")
def test_the_page_says_what_was_found_and_what_that_is_worth(out: Path) -> None:
    page = run(out, people(out))
    for words in (
        "The best of 3 models", "Guessing recognises 50%", "The sample is small",
        "For research only", "Who has which modality", "nobody left out",
        "The models compared", "Difference from", "Prediction sets", "resampled t-test",
    ):  # fmt: skip
        assert words in page, words
    for name in ("choices", "calibration", "coverage"):
        assert (out / f"group_{name}.tsv").exists()
    differences = io.load_table(out / "group_differences.tsv")
    assert set(differences["baseline"]) <= {"linear", "majority"}
    assert differences["p"].notna().sum() == 2


def test_chosen_models_covariates_and_what_is_missing(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = group.Design(estimators=("linear", "gcn"), n_splits=2, n_repeats=2)
    page = run(out, people(out), design=design)
    scores = io.load_table(out / "group_scores.tsv")
    assert set(scores["estimator"]) == {"linear", "gcn"}
    assert "2 folds, 2 times" in page
    assert group.model_of(out / "group.html") == out / "model-gcn"
    for path in (out / "sub-02" / "pet").glob("*relmat*"):
        path.unlink()
    monkeypatch.setattr(group_staging, "DEFAULT", ("majority", "covariates", "multiplex"))
    page = run(out, people(out, site=["A", "B", "B"] * 4))
    assert set(io.load_table(out / "group_scores.tsv")["estimator"]) == {
        "majority", "covariates", "multiplex", "missingness", "site",
    }  # fmt: skip
    assert "1 participant of 12 lack" in page


def test_no_network_no_model(out: Path) -> None:
    page = run(out, people(out), design=group.Design(estimators=("majority", "linear"), n_splits=2))
    assert group.model_of(out / "group.html") is None
    assert not [*out.glob("model-*")]
    assert "saved in" not in page


def test_harmonised_sites_are_told_and_the_model_stages_those_of_known_sites(out: Path) -> None:
    sites = [["A", "B"][number % 4 // 2] for number in range(12)]
    design = group.Design(n_splits=2, harmonise="combat")
    page = run(out, people(out, site=sites), design=design)
    model = group.model_of(out / "group.html")
    assert "It takes out what a site adds" in page
    shutil.copy(out.parent / "participants.tsv", out)
    known_site = stage.run(model, out, out.parent / "staged")
    assert known_site.n_staged == 12
    table = io.load_table(out / "participants.tsv")
    io.save_table(table.assign(site=["C", *table["site"][1:]]), out / "participants.tsv")
    other = stage.run(model, out, out.parent / "staged")
    assert other.n_staged == 11
    assert "site C" in other.problems["01"]
    io.save_table(table.drop(columns="site"), out / "participants.tsv")
    with pytest.raises(io.DataError, match="no column site"):
        stage.run(model, out, out.parent / "staged")
    assert "Can the site still be told?" in page
    assert "ComBat [" in page
    known = io.load_json(out / "group_scores.json")
    assert {row["features"] for row in known["SiteDecoding"]} == {"raw", "harmonised"}


@pytest.mark.parametrize(
    "sites, word",
    [
        (["C", "A", "B", "B"] + ["A", "A", "B", "B"] * 2, "trains on none of them: C 1"),
        ([None, "A", "B", "B"] + ["A", "A", "B", "B"] * 2, "says no site of 01"),
        (["A"] * 12, "has one site, A"),
        (None, "has no column site"),
    ],
)
def test_sites_that_cannot_be_harmonised_are_told_before_anything_is_fitted(
    out: Path, monkeypatch: pytest.MonkeyPatch, sites: list[object] | None, word: str
) -> None:
    monkeypatch.setattr(jobs, "fit_clone", None)
    table = people(out) if sites is None else people(out, site=sites)
    with pytest.raises(io.DataError, match=rf"participants.tsv: .*{word}.*--harmonise"):
        run(out, table, design=group.Design(n_splits=2, harmonise="combat"))


def test_each_site_left_out_and_stages_dealt_anew(out: Path) -> None:
    sites = [["A", "B", "C"][number % 6 // 2] for number in range(12)]
    design = group.Design(estimators=("majority", "gcn"), folds="site", permutations=3)
    page = run(out, people(out, site=sites), design=design)
    assert "3 sites, each left out" in page
    assert "With stages dealt anew 3 times" in page
    known = io.load_json(out / "group_scores.json")["Permutations"]
    assert known["P"] in (0.25, 0.5, 0.75, 1.0)
    with pytest.raises(ValueError, match="needs the site of every subject"):
        run(out, people(out), design=design)


def test_settings_chosen_on_inner_folds_are_written(out: Path) -> None:
    design = group.Design(estimators=("majority", "gcn"), n_splits=2, search="inner")
    run(out, people(out), design=design)
    choices = io.load_table(out / "group_choices.tsv")
    assert set(choices["parameter"][choices["estimator"] == "gcn"]) == set(
        catalogue.CATALOGUE["gcn"].grid
    )


def test_what_is_compared_by_default_is_in_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert set(group_staging.DEFAULT) <= set(catalogue.CATALOGUE)
    assert group_staging.is_network(group_staging.OURS)
    assert [name for name in group_staging.DEFAULT if group_staging.is_network(name)] == [
        "gcn", "multiplex",
    ]  # fmt: skip


@pytest.mark.parametrize("n_people", [8, 9, 40, 57])
def test_the_threshold_of_the_card_gives_the_sets_of_the_p_values(n_people: int) -> None:
    """By definition: the share of calibration people at least as strange, the new one counted."""
    from brainnet.evaluate.conformal import nonconformity

    rng = np.random.default_rng(n_people)
    stages = ["CN", "MCI", "AD"]
    chances = rng.dirichlet([1, 1, 1], n_people)
    truth = rng.integers(0, 3, n_people)
    table = pd.DataFrame(chances, columns=[f"p_{stage}" for stage in stages])
    table = table.assign(truth=[stages[k] for k in truth], participant=np.arange(n_people))
    found = group_staging._conformal(table, stages)
    scores = nonconformity(chances)[np.arange(n_people), truth]
    new = nonconformity(rng.dirichlet([1, 1, 1], 200))
    counts = (scores[:, np.newaxis, np.newaxis] >= new).sum(axis=0)
    inside = (counts + 1) / (n_people + 1) > group_staging.ALPHA
    np.testing.assert_array_equal(new <= found["threshold"], inside)
    assert found["n"] == n_people


def test_the_code_of_models_that_are_imported_by_name_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A change of a network recomputes what it was compared in."""
    design = group.Design(estimators=("majority", "gcn", "brainnetcnn"))
    before, source = design.code(), code._source

    def changed(module: str) -> str | None:
        text = source(module)
        ours = module == "brainnet.models.graph.brainnetcnn"
        return text.replace("n_hidden", "n_hidden_") if text and ours else text

    monkeypatch.setattr(code, "_source", changed)
    after = design.code()
    assert {name for name in before if before[name] != after[name]} == {"brainnetcnn"}
