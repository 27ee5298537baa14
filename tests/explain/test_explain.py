"""The one function a user calls, on folds and on one model."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from brainnet.explain import Explanation, Fold, explain, fit_folds
from brainnet.explain.gradients import integrated_gradients
from brainnet.io import DataError
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.linear import edge_logistic, majority


@pytest.fixture(scope="module")
def folds(cohort):
    model = GraphClassifier(
        features=("profile", "values"), density=0.4, n_hidden=8, n_epochs=20, learning_rate=0.02
    )
    return fit_folds(model, *cohort, n_splits=2, n_seeds=2)


@pytest.fixture(scope="module")
def explained(cohort, folds):
    return explain(folds, *cohort, methods=("integrated_gradients", "occlusion"))


def test_every_method_finds_what_was_planted(cohort, graph, explained):
    masks = explain(graph, cohort[0][45:], methods=("gnn_explainer",))
    for found in (explained, masks):
        for method in found.methods:
            own = found.dataset["attribution"].sel({"method": method})
            assert np.abs(own.values).argmax(axis=1).tolist() == [2, 5], method
    assert explained.regions().loc[0, "region"] in ("region 2", "region 5")


def test_maps_are_means_over_runs_of_test_subjects_alone(cohort, folds, explained):
    subjects, stages = cohort
    data = explained.dataset.sel({"method": "integrated_gradients"})
    assert data["fold"].values.tolist() == [0, 0, 1, 1]
    assert data["seed"].values.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(data["attribution"], data["by_run"].mean("run"))
    np.testing.assert_allclose(data["spread"], data["by_run"].std("run", ddof=1))
    last = folds[-1]
    own = integrated_gradients(last.estimator, subjects[last.test]).regions
    tested = stages[last.test]
    contrast = own[tested == "AD"].mean(axis=0) - own[tested == "CN"].mean(axis=0)
    np.testing.assert_allclose(data["by_run"][-1], contrast)
    same = [each for each in folds if each.fold == last.fold]
    both = np.mean([integrated_gradients(f.estimator, subjects[f.test]).regions for f in same], 0)
    np.testing.assert_allclose(data["by_subject"].values[last.test], both)


def test_everything_has_its_names(cohort, explained):
    subjects = cohort[0]
    data = explained.to_dataset()
    assert data["edges"].sizes == {"edge_method": 1, "modality": 2, "region": 10, "region_to": 10}
    assert data["part"].values.tolist() == ["edges", "values"]
    assert data["measure"].values.tolist()[:6] == list(subjects.measure_names)
    assert data["group_measure"].values.tolist()[:2] == ["mean_edge", "values"]
    assert data.attrs["target"] == "AD/CN"
    assert data.attrs["summary"] == "contrast"
    total = data["parts"].sum("part")
    gradients = data["attribution"].sel({"method": "integrated_gradients"})
    np.testing.assert_allclose(total, gradients, atol=1e-12)
    np.testing.assert_allclose(data["x"], subjects.coordinates[:, 0])


def test_agreement_over_folds_and_over_seeds(explained):
    found = explained.dataset["agreement"].sel({"method": "integrated_gradients"})
    assert found["over"].values.tolist() == ["all", "fold", "seed"]
    values = found.sel(over="all", statistic="rank_correlation").values
    assert (values > found.sel(over="all", statistic="rank_correlation_chance").values).any()
    assert explained.dataset["stability"].shape == (2, 2)
    assert explained.dataset["group_agreement"].sel(group_measure="edges").values[0].min() > 0.3


def test_the_tables_are_sorted_and_shares_are_shares(explained):
    table = explained.regions()
    assert (table["attribution"].abs().diff().dropna() <= 0).all()
    assert table["share"].sum() == pytest.approx(1)
    assert table["rank"].tolist() == list(range(1, 21))
    across = explained.across_modalities()
    assert set(across["region"][:2]) == {"region 2", "region 5"}
    assert across["share"].sum() == pytest.approx(1)
    assert explained.modality_shares().sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="method must be one of"):
        explained.regions("saliency")


def test_saved_and_loaded_it_is_the_same(explained, tmp_path):
    path = explained.save(tmp_path / "explained.nc")
    loaded = Explanation.load(path)
    np.testing.assert_array_equal(loaded.dataset["attribution"], explained.dataset["attribution"])
    assert loaded.regions("occlusion").equals(explained.regions("occlusion"))
    assert loaded.words() == explained.words()
    assert loaded.dataset.broadcast_equals(explained.dataset)
    (tmp_path / "cut.nc").write_bytes(path.read_bytes()[:500])
    for name in ("cut.nc", "none.nc"):
        with pytest.raises(DataError, match="Explain the model again"):
            Explanation.load(tmp_path / name)


def test_a_modality_that_hardly_counts_is_named(explained):
    data = explained.dataset.copy(deep=True)
    data["attribution"][0, 1] *= 1e-3
    words = Explanation(data).words()
    assert any("hardly uses the metabolic networks (0%" in each for each in words)
    assert not any("hardly" in each for each in explained.words())
    data["agreement"].loc[{"statistic": "rank_correlation"}] = 0.0
    assert any("no better than chance" in each for each in Explanation(data).words())
    alone = Explanation(data.drop_vars("agreement")).words()
    assert any(each.startswith("One model only") for each in alone)
    data.attrs["gap"] = 0.2
    assert any("miss 20% of the change" in each for each in Explanation(data).words())


def test_one_model_with_and_without_its_training_subjects(cohort, graph):
    subjects, stages = cohort
    found = explain(graph, subjects[45:], stages[45:])
    assert found.methods == ("integrated_gradients",)
    assert "leave_out" not in found.dataset
    assert "agreement" not in found.dataset
    with pytest.raises(ValueError, match="training must be given for occlusion"):
        explain(graph, subjects[45:], stages[45:], methods=("occlusion",))
    found = explain(graph, subjects[45:], methods=("occlusion",), training=subjects[:45])
    assert found.dataset.attrs["summary"] == "magnitude"
    assert found.dataset["leave_out"].shape == (2,)
    assert "group_t" not in found.dataset


def test_any_estimator_by_occlusion(cohort):
    subjects, stages = cohort
    folds = fit_folds(edge_logistic(), subjects, stages, n_splits=2)
    found = explain(folds, subjects, stages)
    assert found.methods == ("occlusion",)
    assert np.abs(found.dataset["attribution"].values[0]).argmax(axis=1).tolist() == [2, 5]
    # edges are all that it looks at
    assert np.nanmax(np.abs(found.dataset["measures"].values)) < 1e-12
    with pytest.raises(ValueError, match=r"methods must be \('occlusion',\) for"):
        explain(folds, subjects, stages, methods=("integrated_gradients",))


def test_a_participant_on_both_sides_is_refused(cohort, graph):
    subjects, stages = cohort
    rows = np.arange(60)
    with pytest.raises(ValueError, match=r"share no participant.*both hold 44"):
        explain([Fold(graph, rows[:45], rows[44:])], subjects, stages)


def test_folds_split_by_participant_and_vary_the_seed(cohort):
    subjects, stages = cohort
    twice = replace(subjects, participants=np.repeat(subjects.participants[::2], 2))
    stages = np.repeat(stages[::2], 2)
    folds = fit_folds(majority(), twice, stages, n_splits=3)
    for each in folds:
        assert not set(twice.participants[each.train]) & set(twice.participants[each.test])
    graphs = fit_folds(GraphClassifier(n_epochs=1), subjects, cohort[1], n_splits=2, seed=4)
    assert [each.seed for each in graphs] == [4, 5, 6] * 2
    with pytest.raises(ValueError, match="1 for an estimator without a seed"):
        fit_folds(majority(), subjects, cohort[1], n_seeds=2)
    with pytest.raises(ValueError, match="smallest stage, 20; got 30"):
        fit_folds(majority(), subjects, cohort[1], n_splits=30)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"methods": ("saliency",)}, "methods must be of"),
        ({"methods": "occlusion"}, "methods must be of"),
        ({"methods": ()}, "methods must be of"),
        ({"target": "MCI"}, "target must be"),
        ({"summary": "median"}, "summary must be"),
        ({"stages": ["CN"] * 15}, "got none of AD"),
        ({"stages": ["CN"] * 3}, r"one a subject, \(15,\); got shape \(3,\)"),
        ({"fitted": []}, "one Fold or more; got none"),
    ],
)
def test_bad_input(cohort, graph, change, message):
    subjects, stages = cohort
    arguments = {"fitted": graph, "stages": stages[45:], **change}
    with pytest.raises(ValueError, match=message):
        explain(arguments.pop("fitted"), subjects[45:], arguments.pop("stages"), **arguments)


def test_other_subjects_than_the_models_are_refused(cohort, graph):
    subjects, stages = cohort
    with pytest.raises(NotFittedError, match="must be fitted"):
        explain(GraphClassifier(), subjects, stages)
    with pytest.raises(ValueError, match="modalities and regions of the training subjects"):
        explain(graph, subjects.only(["functional"]), stages)
    swapped = replace(subjects, regions=subjects.regions[::-1])
    with pytest.raises(ValueError, match="regions must be the same, in the same order"):
        explain(graph, swapped[45:], stages[45:], methods=("occlusion",), training=subjects[:45])


def test_same_seed_same_bytes(cohort, folds, tmp_path):
    paths = [explain(folds[1:3], *cohort).save(tmp_path / name) for name in ("a.nc", "b.nc")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
