"""A saved model on new participants: who is staged, who is refused and why."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brainnet import cli, cohort, io
from brainnet.bids.ignore import Ignored
from brainnet.cohort.subjects import Subjects
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.saved import load_stager, save_stager, stager_card
from brainnet.report import figures
from brainnet.workflows import preprocessing, stage
from brainnet.workflows.engine.steps import Steps
from tests.workflows import made_networks as made

TRAINED = [f"{number:02d}" for number in range(1, 9)]
NEW = ["21", "22", "23"]


def save(out: Path, folder: Path, **more: Any) -> Path:
    """Train a small network on the participants of a dataset and save it."""
    dataset = cohort.gather(out, pd.DataFrame({"participant_id": TRAINED}))
    stages = np.array(["CN", "AD"] * 4)
    record = preprocessing.Records().of_cohort(cohort.sources(out, made.ATLAS))
    known = {"record": record, "sha256": "0" * 64}
    score = {"estimate": 0.61, "low": 0.5, "high": 0.7}
    card = stager_card(
        dataset, stages, preprocessing=known,
        **{"scores": {"balanced_accuracy": score}, "seed": 3, "versions": {"brainnet": "0.1.0"}}
        | more,
    )  # fmt: skip
    model = GraphClassifier(n_epochs=2, n_hidden=4, features=("profile", "values", "coordinates"))
    return save_stager(folder, model.fit(Subjects.from_cohort(dataset), stages), card)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, the dataset that it was trained on, and one of new participants."""
    folder = tmp_path_factory.mktemp("ground")
    for name, labels in (("trained", TRAINED), ("new", NEW)):
        made.describe(folder / name)
        for label in labels:
            made.put(folder / name, label, int(label), shift=0.1 * (int(label) % 2))
    save(folder / "trained", folder / "model-small")
    return folder


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing is tried elsewhere, and takes half of the time here."""
    empty = b"\x89PNG\r\n\x1a\n" + bytes(16)
    monkeypatch.setattr(figures, "stage_bars", lambda *_: empty)


@pytest.fixture
def model(ground: Path) -> Path:
    return ground / "model-small"


@pytest.fixture
def new(ground: Path, tmp_path: Path) -> Path:
    """Return a copy of the new participants to change."""
    return Path(shutil.copytree(ground / "new", tmp_path / "new"))


def table(result: stage.Result) -> pd.DataFrame:
    return io.load_table(result.table).set_index("participant_id")


def test_stages_are_those_of_the_model_in_memory(model: Path, new: Path) -> None:
    result = stage.run(model, new)
    dataset = cohort.gather(new, pd.DataFrame({"participant_id": NEW}))
    stager = load_stager(model)
    expected = stager.estimator.predict_proba(Subjects.from_cohort(dataset))
    found = table(result)
    assert found.index.tolist() == [f"sub-{label}" for label in NEW]
    np.testing.assert_array_equal(found[["p_CN", "p_AD"]].to_numpy(), expected)
    assert found["stage"].tolist() == np.array(["CN", "AD"])[expected.argmax(axis=1)].tolist()
    assert (found["coverage"] == 1).all()
    assert (result.n_staged, result.problems) == (3, {})
    read = {"21": (np.zeros((3, 84, 84)), np.zeros((3, 84)))}
    places = np.stack([dataset[axis].values for axis in ("x", "y", "z")], axis=1)
    np.testing.assert_array_equal(
        stage._subjects(read, stager.card, pd.DataFrame(index=[0])).coordinates, places
    )


def test_missing_modalities_are_fine_and_told(model: Path, new: Path) -> None:
    whole = table(stage.run(model, new))
    made.network_path(new, "22", "metabolic").unlink()
    for modality in ("functional", "metabolic"):
        made.network_path(new, "23", modality).unlink()
    found = table(stage.run(model, new))
    assert found.loc["sub-22", "missing"] == "metabolic"
    assert found.loc["sub-23", "modalities"] == "morphological"
    assert found["p_CN"].between(0, 1).all()
    assert found.loc["sub-21", "p_CN"] == whole.loc["sub-21", "p_CN"], "others are as they were"
    assert found.loc["sub-22", "p_CN"] != whole.loc["sub-22", "p_CN"]


def other_atlas(new: Path) -> None:
    for path in [*new.rglob(f"*seg-{made.ATLAS}*")]:
        path.rename(path.with_name(path.name.replace(made.ATLAS, "AAL")))


def other_kind(new: Path) -> None:
    for path in [*new.rglob("*jssimilarity_relmat.*"), *new.rglob("*pearson*_relmat.*")]:
        path.rename(path.with_name(path.name.replace("js", "kl").replace("pearson", "spearman")))


def other_order(new: Path) -> None:
    for path in [*new.rglob("*_relmat.tsv")]:
        matrix = io.load_matrix(path).iloc[::-1, ::-1]
        io.save_matrix(matrix.to_numpy(), list(matrix), path)


def other_quality(new: Path) -> None:
    for label in NEW:
        made.put(new, label, int(label), quality="draft")


def other_tracer(new: Path) -> None:
    for path in [*new.rglob("*trc-FDG*")]:
        path.rename(path.with_name(path.name.replace("trc-FDG", "trc-AV45")))


def no_record(new: Path) -> None:
    for path in [*new.rglob("moved.json")]:
        path.unlink()


@pytest.mark.parametrize(
    "change, what, remedy",
    [
        (other_atlas, "networks of the atlas AAL, and the model's are of DesikanKilliany",
         "--atlas DesikanKilliany"),
        (other_kind, "kind", "networks of kl, spearman: ask for them with --connectome"),
        (other_order, "regions in another order: number 1 is 'ctx-rh-insula'",
         "participant workflow again"),
        (other_quality, "registration to MNI: quality 'draft' .* the model's is 'standard'",
         "as it ran for the model's participants"),
        (other_tracer, r"scan: tracer 'AV45' \(metabolic\), the model's is 'FDG'", "take a model"),
        (no_record, "no record of how they were made", "as it ran for"),
    ],
)  # fmt: skip
def test_networks_that_the_model_does_not_know_are_refused(
    model: Path, new: Path, tmp_path: Path, change: Callable[[Path], None], what: str, remedy: str
) -> None:
    change(new)
    with pytest.raises(io.DataError, match=what) as raised:
        stage.run(model, new, tmp_path / "out")
    assert remedy in str(raised.value)
    assert not [*(tmp_path / "out").glob("group*")]


def test_one_who_differs_does_not_stop_the_others(model: Path, new: Path) -> None:
    made.put(new, "22", 22, quality="draft")
    io.save_text("BOLD was cut short", new / "logs" / "sub-23.failed")
    (new / "sub-24").mkdir()
    made.put(new, "25", 25)
    path = made.network_path(new, "25", "functional")
    path.write_bytes(path.read_bytes()[:-300])
    result = stage.run(model, new)
    found = table(result)
    assert found["stage"].notna().tolist() == [True, False, False, False, False]
    assert "quality 'draft'" in found.loc["sub-22", "problem"]
    assert "failed at the participant level: BOLD was cut short" in found.loc["sub-23", "problem"]
    assert "no network" in found.loc["sub-24", "problem"]
    assert path.name in found.loc["sub-25", "problem"]
    assert set(result.problems) == {"22", "23", "24", "25"}
    page = result.page.read_text()
    assert "Not staged" in page
    assert "quality &#39;draft&#39;" in page


def test_who_trained_the_model_is_told(model: Path, ground: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(ground / "trained", tmp_path / "trained"))
    result = stage.run(model, out)
    assert table(result)["remarks"].str.contains("the model has seen these networks").all()
    made.put(out, "01", 99)
    assert pd.isna(table(stage.run(model, out)).loc["sub-01", "remarks"])


def test_few_regions_and_made_up_networks_are_told(model: Path, new: Path) -> None:
    for modality in made.MADE:
        path = made.network_path(new, "21", modality)
        matrix = io.load_matrix(path)
        matrix.iloc[:30], matrix.iloc[:, :30] = np.nan, np.nan
        io.save_matrix(matrix.to_numpy(), list(matrix), path)
    side = made.network_path(new, "22", "metabolic").with_suffix(".json")
    io.save_json(io.load_json(side) | {"Simulated": True}, side)
    result = stage.run(model, new)
    found, page = table(result), result.page.read_text()
    assert found.loc["sub-21", "remarks"] == "64% of the regions measured"
    assert found.loc["sub-21", "coverage"] == pytest.approx(54 / 84)
    assert found.loc["sub-22", "remarks"] == "simulated: metabolic"
    assert "Networks of 1 participants are SIMULATED" in page
    assert "Made up by the program, not measured" in page


def test_a_simulated_dataset_is_told_as_a_whole(model: Path, new: Path) -> None:
    made.describe(new, "results of a simulated dataset")
    assert "Nothing on this page was measured in a person" in stage.run(model, new).page.read_text()


@pytest.fixture
def all_steps(monkeypatch: pytest.MonkeyPatch) -> list[Steps]:
    kept: list[Steps] = []

    def made_steps(notify: Callable[[str], None]) -> Steps:
        kept.append(Steps(notify))
        return kept[-1]

    monkeypatch.setattr(stage, "Steps", made_steps)
    return kept


def test_a_second_run_computes_nothing_and_a_change_all(
    model: Path, new: Path, all_steps: list[Steps]
) -> None:
    first = stage.run(model, new)
    before = {path: path.read_bytes() for path in new.glob("group*")}
    stage.run(model, new)
    made.put(new, "21", 77)
    stage.run(model, new)
    skipped = [[each.skipped for each in steps.results.values()] for steps in all_steps]
    assert skipped == [[False] * 2, [True] * 2, [False] * 2]
    assert len(before) == 4
    assert before[first.table] != first.table.read_bytes()


def test_labels_session_and_another_folder(model: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    made.describe(source)
    for label in NEW:
        made.put(source, label, int(label), ses="m00")
        made.put(source, label, int(label) + 50, ses="m12")
    before = sorted(source.rglob("*"))
    result = stage.run(model, source, out, participant_label=["sub-22"], session="ses-m12")
    assert sorted(source.rglob("*")) == before, "only read"
    assert result.table == out / "group_ses-m12_desc-modelSmall_stages.tsv"
    assert table(result).index.tolist() == ["sub-22"]
    assert table(result)["session_id"].tolist() == ["ses-m12"]
    other = table(stage.run(model, source, out, session="m00"))
    assert other.loc["sub-22", "p_CN"] != table(result).loc["sub-22", "p_CN"]
    ignored = Ignored(out)
    assert [path.name for path in out.glob("group*") if path.name not in ignored] == []
    with pytest.raises(io.DataError, match=r"no participant 99.*--participant-label"):
        stage.run(model, source, participant_label=["99", "21"])


def test_the_page_tells_what_it_is(model: Path, new: Path) -> None:
    page = stage.run(model, new).page.read_text()
    for words in ("For research only", "not diagnoses", "61%", "50% to 70%", "4 CN, 4 AD",
                  "Not a medical device", "sub-21", "50% would be guessing"):  # fmt: skip
        assert words in page, words
    sidecar = io.load_json(new / "group_desc-modelSmall_stages.json")
    assert sidecar["p_AD"]["Description"] == "probability of AD"
    assert sidecar["IntendedUse"]
    assert sidecar["Model"]["weights_sha256"] == io.load_json(model / "card.json")["weights_sha256"]


def test_a_model_of_networks_without_records_takes_such(ground: Path, tmp_path: Path) -> None:
    trained = Path(shutil.copytree(ground / "trained", tmp_path / "trained"))
    new = Path(shutil.copytree(ground / "new", tmp_path / "new"))
    no_record(trained)
    own = save(trained, tmp_path / "model")
    no_record(new)
    result = stage.run(own, new)
    assert result.n_staged == 3
    assert "cannot be shown that these were made alike" in result.page.read_text()


def test_a_model_of_another_version_is_told(ground: Path, new: Path, tmp_path: Path) -> None:
    own = save(ground / "trained", tmp_path / "model", versions={"brainnet": "0.0.9"})
    assert "made with brainnet 0.0.9, and this is" in stage.run(own, new).page.read_text()


def not_there(folder: Path) -> None:
    shutil.rmtree(folder)


def other_task(folder: Path) -> None:
    card = io.load_json(folder / "card.json") | {"task": "brain"}
    io.save_json(card, folder / "card.json")


def changed_regions(folder: Path) -> None:
    card = io.load_json(folder / "card.json")
    card["regions"] = card["regions"][::-1]
    io.save_json(card, folder / "card.json")


def without_origin(folder: Path) -> None:
    networks = np.random.default_rng(0).random((6, 1, 4, 4))
    model = GraphClassifier(n_epochs=1).fit(networks + networks.swapaxes(2, 3), ["CN", "AD"] * 3)
    model.save(folder)


@pytest.mark.parametrize(
    "damage, word",
    [
        (not_there, "is not the folder of a model"),
        (other_task, "is for 'brain', not for 'staging'"),
        (changed_regions, "the card was changed after the model was written"),
        (without_origin, "the card does not say what atlas"),
    ],
)
def test_a_model_that_is_none_is_refused(
    model: Path, new: Path, tmp_path: Path, damage: Callable[[Path], None], word: str
) -> None:
    own = Path(shutil.copytree(model, tmp_path / "model"))
    damage(own)
    with pytest.raises(io.DataError, match=word):
        stage.run(own, new)
    assert not [*new.glob("group*")]


def test_the_card_says_on_whom_and_how(model: Path, ground: Path) -> None:
    card = json.loads((model / "card.json").read_text())
    assert card["cohort"]["n"] == {"AD": 4, "CN": 4}
    assert card["cohort"]["measured"] == dict.fromkeys(made.MADE, 8)
    assert card["regions"] == made.NAMES
    assert card["kinds"] == ["pearson", "js"]
    assert card["atlas"]["name"] == made.ATLAS
    assert card["preprocessing"]["record"]["functional"]["registration to MNI"]
    assert card["scores"]["balanced_accuracy"]["estimate"] == 0.61
    assert any("no diagnosis" in each for each in card["limits"])
    assert "sub-01" not in json.dumps(card)


def status(arguments: list[str]) -> int | str | None:
    try:
        return cli.main(arguments)
    except SystemExit as stop:
        return stop.code


def test_the_command_line(
    model: Path, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["stage", str(model), str(new)]) == 0
    said = capsys.readouterr()
    assert "3 of 3 participants staged" in said.out
    assert "for research only" in said.out
    assert "staging of new participants" in said.err
    made.put(new, "22", 22, quality="draft")
    out = str(tmp_path / "out")
    assert status(["stage", str(model), str(new), out, "--participant-label", "21", "22"]) == 1
    said = capsys.readouterr()
    assert "sub-22: NOT STAGED: networks not made as those" in said.err
    assert "1 of 2 participants staged" in said.out
    other_quality(new)
    assert status(["stage", str(model), str(new), out]) == 2
    assert "quality 'draft'" in capsys.readouterr().err
    assert status(["stage", str(model), str(new), "--session", "m99"]) == 2
    assert "session 'm99'" in capsys.readouterr().err
    assert status(["stage", str(model)]) == 2
    assert status(["stage", "--help"]) == 0
    assert "no diagnosis" in " ".join(capsys.readouterr().out.split())
