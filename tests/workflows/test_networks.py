"""Networks of several kinds, and the measures that are asked for, in files of their own."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brainnet import atlas as atlases
from brainnet import io
from brainnet.bids import Scan
from brainnet.connectome.kinds import KINDS
from brainnet.metrics import clustering, degree
from brainnet.report.methods import methods_text
from brainnet.workflows import networks, page_methods
from brainnet.workflows.engine.step import run_step, sidecar_path
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.networks import Result
from brainnet.workflows.settings import Settings

ATLAS = "DesikanKilliany"
NAMES = atlases.load(ATLAS).names
WHERE = {"subject": "1", "session": None}


@pytest.mark.parametrize("kind", ["pearson", "spearman", "partial"])
def test_time_series_to_each_kind(tmp_path: Path, kind: str) -> None:
    series = np.random.default_rng(0).standard_normal((40, 4)) @ np.triu(np.ones((4, 4)))
    series[:, 2] = np.nan
    path = io.save_table(pd.DataFrame(series, columns=list("abcd")), tmp_path / "s.tsv")
    result = run_step(
        "functional network", networks.correlation_network, inputs={"timeseries": path},
        outputs={"network": tmp_path / "n.tsv"}, parameters={"kind": kind},
    )  # fmt: skip
    found = io.load_matrix(result.outputs["network"])
    assert list(found) == list("abcd")
    np.testing.assert_allclose(found, KINDS[kind].measure(series), atol=1e-15)
    sidecar = io.load_json(sidecar_path(result.outputs["network"]))
    assert sidecar["RelationshipMeasure"] == KINDS[kind].words


@pytest.mark.parametrize("kind", ["js", "kl"])
def test_samples_to_each_kind_in_the_atlas_order(tmp_path: Path, kind: str) -> None:
    """The table holds the regions in another order, and lacks one: names decide."""
    rng = np.random.default_rng(0)
    samples = {name: rng.normal(i % 7, 1, 50) for i, name in enumerate(NAMES)}
    given = [name for name in reversed(NAMES) if name != NAMES[5]]
    frames = [pd.DataFrame({"name": name, "value": samples[name]}) for name in given]
    path = io.save_table(pd.concat(frames), tmp_path / "s.tsv.gz")
    result = run_step(
        "metabolic network", networks.similarity_network, inputs={"samples": path},
        outputs={"network": tmp_path / "n.tsv"},
        parameters={"kind": kind, "atlas": ATLAS, "simulated": True},
    )  # fmt: skip
    found = io.load_matrix(result.outputs["network"])
    assert list(found) == NAMES
    expected = KINDS[kind].measure([None if n == NAMES[5] else samples[n] for n in NAMES])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert io.load_json(sidecar_path(result.outputs["network"]))["Simulated"] is True


def _network(seed: int, path: Path) -> Path:
    weights = np.triu(np.random.default_rng(seed).uniform(-0.2, 0.9, (10, 10)), 1)
    return io.save_matrix(weights + weights.T, [f"r{i}" for i in range(10)], path)


def _results(folder: Path) -> list[Result]:
    """Two runs, of which each has networks of two kinds."""
    found = []
    for run in ("1", "2"):
        entities = {"sub": "1", "task": "rest", "run": run}
        scan = Scan(folder / f"{run}.nii.gz", "1", None, entities, "bold", "func")
        paths = {
            "network": _network(int(run), folder / f"{run}_a.tsv"),
            "network:partial": _network(10 + int(run), folder / f"{run}_b.tsv"),
        }
        found.append(Result("functional", scan, paths))
    return found


def _measured(folder: Path, **options: Any) -> pd.DataFrame:
    settings = Settings(densities=(0.3, 1.0), **options)
    path = networks.run(WHERE, _results(folder), folder, settings, Steps(lambda _: None))
    assert path is not None
    return io.load_table(path)


def test_measures_that_are_asked_for_and_no_others(tmp_path: Path) -> None:
    table = _measured(tmp_path, measures=["degree", "clustering_binary"])
    taken = {name.removesuffix("_auc") for name in table["measure"]}
    assert taken == {"n_regions_measured", "mean_weight", "degree", "clustering_binary"}
    weights = io.load_matrix(tmp_path / "1_a.tsv").to_numpy()
    at = table[(table["modality"] == "functional") & (table["density"] == 1)]
    found = at[at["region"] != "global"].set_index("measure")["value"]
    positive = weights > 0
    np.testing.assert_array_equal(found["degree"], degree.degree(positive))
    np.testing.assert_allclose(found["clustering_binary"], clustering.clustering_binary(positive))


def test_the_first_kind_is_measured_or_every_kind(tmp_path: Path) -> None:
    first = _measured(tmp_path, measures=["degree"])
    assert set(first["modality"]) == {"functional", "functional_task-rest_run-2"}
    every = _measured(tmp_path, measures=["degree"], measured="all")
    assert set(every["modality"]) == {
        "functional", "functional_partial",
        "functional_task-rest_run-2", "functional_task-rest_run-2_partial",
    }  # fmt: skip
    mean = every[every["measure"] == "mean_weight"].set_index(["modality", "region"])["value"]
    planted = io.load_matrix(tmp_path / "2_b.tsv").to_numpy().sum() / 90
    assert mean["functional_task-rest_run-2_partial", "global"] == pytest.approx(planted)


def _named(*scans: str) -> dict[str, str]:
    """Name results of scans such as ``func_task-rest``; return the scan of each name."""
    results = []
    for each in scans:
        datatype, *pairs = each.split("_")
        entities = {"sub": "1"} | dict(pair.split("-") for pair in pairs)
        scan = Scan(Path(each), "1", None, entities, "bold", datatype)
        modality = {"anat": "morphological", "func": "functional", "pet": "metabolic"}[datatype]
        results.append(Result(modality, scan, {}))
    return {name: str(each.scan.path) for name, each in networks.by_name(results).items()}


def test_the_plain_name_is_that_of_the_run_that_the_cohort_takes() -> None:
    faces, rest, again = "func_task-faces", "func_task-rest_run-1", "func_task-rest_run-2"
    assert list(_named("anat", faces, rest, again).items()) == [
        ("morphological", "anat"), ("functional_task-faces", faces), ("functional", rest),
        ("functional_task-rest_run-2", again),
    ]  # fmt: skip
    assert _named(faces, "func_acq-a")["functional"] == "func_acq-a"
    assert _named("func", rest) == {"functional_other": "func", "functional": rest}
    assert _named("func_task-nback", faces)["functional"] == faces, "the first by name"
    assert _named("pet_trc-a", "pet_task-rest_trc-b")["metabolic"] == "pet_trc-a"


def test_the_methods_describe_the_plain_named_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def writer(_page: object, key: str) -> dict[str, Any]:
        asked.append(key)
        return {}

    monkeypatch.setattr(page_methods, "_WRITERS", {"functional": writer})
    named = _named("func_task-faces", "func_task-rest")
    facts = {"simulated": False, "modalities": dict.fromkeys(named, "functional")}
    page_methods.record(SimpleNamespace(facts=facts))  # type: ignore[arg-type]
    assert [named[key] for key in asked] == ["func_task-rest"]


def test_none_leaves_the_step_out(tmp_path: Path) -> None:
    steps = Steps(lambda _: None)
    settings = Settings(measures=["none"])
    assert networks.run(WHERE, _results(tmp_path), tmp_path, settings, steps) is None
    assert steps.results == {}


def test_first_kinds_and_atlases_have_files_of_their_own(tmp_path: Path) -> None:
    choices = [
        Settings(), Settings(connectome=["partial"]), Settings(connectome=["kl"]),
        Settings(connectome=["kl", "partial"]), Settings(atlas="AAL"),
        Settings(atlas="AAL", connectome=["partial"]),
    ]  # fmt: skip
    tables = [networks.measures_path(WHERE, tmp_path, each).name for each in choices]
    assert tables[0] == f"sub-1_seg-{ATLAS}_measures.tsv"
    assert tables[3] == f"sub-1_seg-{ATLAS}_desc-partialKl_measures.tsv"
    assert len(set(tables)) == len(tables)
    labels = [networks.run_label(each) for each in choices]
    assert labels[0] == ""
    assert labels[-1] == "_seg-AAL_desc-partial"
    assert len(set(labels)) == len(labels)
    further = Settings(connectome=["pearson", "partial"])
    assert networks.run_label(further) == "", "a further kind changes no name of what was there"


def test_methods_tell_what_was_chosen() -> None:
    functional = {
        "network": [KINDS["partial"].method, KINDS["spearman"].method],
        "spaces": page_methods.spaces_part(["MNI152NLin2009cAsym:res-2"]),
    }
    measures = page_methods.measures_part(["clustering_binary"], [0.1], 0)
    text = methods_text({"functional": functional, "measures": measures}).text
    assert "the partial correlation of their time series given all other measured regions" in text
    assert "the Spearman rank correlation" in text
    assert "MNI152NLin2009cAsym (2 mm), again in one interpolation" in text
    assert "Network measures" in text
    assert "efficiency" not in text
    assert "Louvain" not in text
    assert page_methods.measures_part([], [0.1], 0) == {}
    standard = page_methods.measures_part(["global_efficiency_binary", "module"], [0.1], 7)
    text = methods_text({"measures": standard}).text
    assert "efficiency" in text
    assert "Louvain method" in text


def test_methods_tell_who_made_what_was_given() -> None:
    given = {"Method": "precomputed by fMRIPrep 23.1.4"}
    part = {
        "brain_mask": page_methods.mask_words(given),
        "tissue": page_methods.tissue_words(given),
    }
    text = methods_text({"anatomical": part}).text
    assert "skull-stripped with the brain mask that fMRIPrep 23.1.4 had made" in text
    assert "CSF with the maps that fMRIPrep 23.1.4 had made" in text
    assert page_methods.mask_words({"Method": "deepbet"}) == "deepbet"
    assert page_methods.mask_words({"Method": "as given (already skull-stripped)"}) == "input"
