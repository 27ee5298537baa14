"""Explain fitted models: what mattered to them, how sure that is, and whether it was planted.

:func:`explain` takes a fitted estimator, or one for each fold, and gives an :class:`Explanation`.
What it is made of stands on its own: :mod:`~brainnet.explain.gradients`,
:mod:`~brainnet.explain.masks`, :mod:`~brainnet.explain.occlusion`,
:mod:`~brainnet.explain.agreement`, :mod:`~brainnet.explain.groups` and
:mod:`~brainnet.explain.sanity`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from brainnet.cohort.subjects import Subjects, as_subjects
from brainnet.explain.agreement import agreement, stability_curve
from brainnet.explain.attribution import measured_mean
from brainnet.explain.explanation import Explanation
from brainnet.explain.folds import Fold, check_folds, fit_folds
from brainnet.explain.groups import GroupDifference, agreement_with_groups
from brainnet.explain.occlusion import measure_names
from brainnet.explain.runs import Question, Run, default_methods, difference_of, run_of
from brainnet.explain.sanity import Sanity, check_sanity
from brainnet.explain.targets import Target
from brainnet.models.measures import with_measures

__all__ = ["Explanation", "Fold", "Sanity", "check_sanity", "explain", "fit_folds"]

Floats = NDArray[np.float64]

_STATISTICS = ("rank_correlation", "icc", "dice", "rank_correlation_chance", "dice_chance",
               "p_value")  # fmt: skip


def explain(
    fitted: Any,
    networks: Any,
    stages: ArrayLike | None = None,
    *,
    methods: Sequence[str] | None = None,
    target: str = "extremes",
    summary: str | None = None,
    training: Any = None,
    seed: int = 0,
) -> Explanation:
    """Explain what fitted estimators go by, on subjects they never saw.

    Parameters
    ----------
    fitted : classifier or sequence of Fold
        A fitted estimator that is explained on all of ``networks``; or what :func:`fit_folds`
        gives: each is then explained on its own test subjects, and the maps are averaged.
    networks : Subjects or (n_subjects, n_modalities, n_regions, n_regions) array
    stages : (n_subjects,) array, optional
        For contrasts and the plain group difference.
    methods : sequence of str, optional
        ``integrated_gradients`` and ``gnn_explainer`` for graph classifiers, ``occlusion`` for any
        estimator. By default the first for a graph classifier and the last for others.
    target : str
        What is explained (:class:`~brainnet.explain.targets.Target`); by default the logarithm of
        the ratio of the probabilities of the most severe and the mildest stage.
    summary : {"contrast", "mean", "magnitude"}, optional
        How the maps of subjects become one (:func:`~brainnet.explain.attribution.summarise`);
        ``contrast`` by default where there are stages, else ``magnitude``. GNNExplainer's masks
        are shared by all subjects and need none.
    training : Subjects or array, optional
        Whom a single estimator was fitted on, for occlusion and the group difference. Without
        them there is neither.
    seed : int
        Of the masks, and of the null of the agreement.

    Returns
    -------
    Explanation

    Raises
    ------
    ValueError
        An estimator without gradients is asked for them; occlusion without training subjects; a
        participant on both sides of a fold; other modalities or regions than those of the
        training subjects; a stage that the estimator does not know.
    NotFittedError
        An estimator was not fitted.

    Examples
    --------
    >>> from brainnet.models.graph.estimator import GraphClassifier
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.uniform(0, 0.2, size=(24, 1, 6, 6))
    >>> networks = networks + networks.mT
    >>> networks[12:, :, 0, 1:] += 0.6
    >>> networks[12:, :, 1:, 0] += 0.6
    >>> stages = np.repeat(["CN", "AD"], 12)
    >>> folds = fit_folds(GraphClassifier(n_epochs=20), networks, stages, n_splits=2)
    >>> explain(folds, networks, stages).regions().loc[0, "region"]
    'region 1'
    """
    subjects = with_measures(as_subjects(networks))
    labels = None if stages is None else np.asarray(stages)
    if labels is not None and labels.shape != (len(subjects),):
        raise ValueError(
            f"stages must be one a subject, ({len(subjects)},); got shape {labels.shape}."
        )
    folds, single = _folds(fitted, subjects)
    first = folds[0].estimator
    chosen = default_methods(first, methods)
    asked = Question(
        chosen,
        Target.of(target, _classes(first)),
        summary or _default_summary(labels, target),
        seed,
    )
    others = with_measures(as_subjects(training)) if single and training is not None else None
    if "occlusion" in chosen and single and others is None:
        raise ValueError(
            "training must be given for occlusion: the subjects that the estimator was fitted on, "
            "whose medians stand in for what is occluded; got none."
        )
    runs = [
        run_of(
            each.estimator,
            subjects[each.test],
            others if single else subjects[each.train],
            None if labels is None else labels[each.test],
            asked,
        )
        for each in folds
    ]
    differences = _differences(folds, subjects, labels, asked, single=single)
    return Explanation(_dataset(subjects, folds, runs, differences, asked))


def _folds(fitted: Any, subjects: Subjects) -> tuple[list[Fold], bool]:
    """Return folds, and whether they stand for one estimator alone."""
    if isinstance(fitted, Fold):
        fitted = [fitted]
    if isinstance(fitted, Sequence):
        for each in fitted:
            _classes(getattr(each, "estimator", each))
        check_folds(fitted, subjects)
        return list(fitted), False
    _classes(fitted)
    nobody = np.empty(0, dtype=np.intp)
    return [Fold(fitted, nobody, np.arange(len(subjects)))], True


def _classes(estimator: Any) -> NDArray:
    """Return the stages of a fitted estimator."""
    from sklearn.exceptions import NotFittedError

    try:
        return np.asarray(estimator.classes_)
    except AttributeError as error:
        raise NotFittedError(
            f"estimator must be fitted; this {type(estimator).__name__} is not."
        ) from error


def _default_summary(labels: NDArray | None, target: str) -> str:
    if target == "own":
        return "mean"
    return "magnitude" if labels is None else "contrast"


def _differences(
    folds: Sequence[Fold],
    subjects: Subjects,
    labels: NDArray | None,
    asked: Question,
    *,
    single: bool,
) -> GroupDifference | None:
    """Return the mean group difference of the folds' training subjects, each fold once."""
    if labels is None:
        return None
    rows = {each.fold: each.test if single else each.train for each in folds}
    found = [difference_of(subjects[each], labels[each], asked.target) for each in rows.values()]
    known = [each for each in found if each is not None]
    if not known:
        return None
    return GroupDifference(
        known[0].measures,
        measured_mean(np.stack([each.t for each in known])),
        measured_mean(np.stack([each.d for each in known])),
    )


def _dataset(
    subjects: Subjects,
    folds: Sequence[Fold],
    runs: Sequence[Run],
    difference: GroupDifference | None,
    asked: Question,
) -> xr.Dataset:
    """Label everything."""
    maps = np.stack([[run.regions[name] for run in runs] for name in asked.methods])
    mean = np.stack([measured_mean(each) for each in maps])
    place = ("modality", "region")
    variables: dict[str, Any] = {
        "attribution": (("method", *place), mean),
        "spread": (("method", *place), np.stack([_spread(each) for each in maps])),
        "by_run": (("method", "run", *place), maps),
        "by_subject": (("method", "subject", *place), _by_subject(subjects, folds, runs, asked)),
    }
    coords: dict[str, Any] = {
        "method": list(asked.methods),
        "modality": list(subjects.modalities),
        "region": list(subjects.regions),
        "subject": [f"{number}" for number in range(1, len(subjects) + 1)],
        "participant_id": ("subject", subjects.participants),
        "fold": ("run", [each.fold for each in folds]),
        "seed": ("run", [each.seed for each in folds]),
    }
    for axis, column in zip("xyz", subjects.coordinates.T, strict=True):
        coords[axis] = ("region", column)
    _add_edges(variables, coords, runs, subjects)
    _add_inputs(variables, coords, runs, subjects)
    if difference is not None:
        coords["group_measure"] = list(difference.measures)
        variables["group_t"] = (("group_measure", *place), difference.t)
        variables["group_d"] = (("group_measure", *place), difference.d)
        together = [agreement_with_groups(each, difference) for each in mean]
        variables["group_agreement"] = (("method", "group_measure", "modality"), together)
    if len(runs) > 1:
        _add_agreement(variables, coords, maps, folds, asked.seed)
    attrs = {
        "target": asked.target.name,
        "unit": asked.target.unit,
        "summary": asked.summary,
        "estimator": type(folds[0].estimator).__name__,
        "n_runs": len(runs),
        "gap": float(np.mean([run.gap for run in runs])),
    }
    return xr.Dataset(variables, coords, attrs)


def _spread(maps: Floats) -> Floats:
    """Standard deviation over runs; NaN for one alone."""
    if len(maps) < 2:
        return np.full(maps.shape[1:], np.nan)
    away = measured_mean((maps - measured_mean(maps)) ** 2)
    return np.asarray(np.sqrt(away * len(maps) / (len(maps) - 1)))


def _by_subject(
    subjects: Subjects, folds: Sequence[Fold], runs: Sequence[Run], asked: Question
) -> Floats:
    """Each subject's own map, the mean of the runs that it was tested in."""
    found = np.full((len(asked.methods), *subjects.shape[:3]), np.nan)
    for number, name in enumerate(asked.methods):
        if name not in runs[0].subjects:
            continue
        layers = np.full((len(runs), *subjects.shape[:3]), np.nan)
        for layer, fold, run in zip(layers, folds, runs, strict=True):
            layer[fold.test] = run.subjects[name]
        found[number] = measured_mean(layers)
    return found


def _add_edges(
    variables: dict[str, Any], coords: dict[str, Any], runs: Sequence[Run], subjects: Subjects
) -> None:
    names = list(runs[0].edges)
    if names:
        coords["edge_method"] = names
        coords["region_to"] = list(subjects.regions)
        maps = [measured_mean(np.stack([run.edges[name] for run in runs])) for name in names]
        variables["edges"] = (("edge_method", "modality", "region", "region_to"), np.stack(maps))


def _add_inputs(
    variables: dict[str, Any], coords: dict[str, Any], runs: Sequence[Run], subjects: Subjects
) -> None:
    """Add what parts of the input, whole modalities and whole measures account for."""
    parts = list(runs[0].parts)
    if parts:
        coords["part"] = parts
        maps = [measured_mean(np.stack([run.parts[name] for run in runs])) for name in parts]
        variables["parts"] = (("part", "modality", "region"), np.stack(maps))
    without = [run.leave_out for run in runs if run.leave_out is not None]
    if without:
        variables["leave_out"] = (("modality",), measured_mean(np.stack(without)))
    measures = [run.measures for run in runs if run.measures is not None]
    if measures:
        coords["measure"] = list(measure_names(subjects))
        variables["measures"] = (("modality", "measure"), measured_mean(np.stack(measures)))


def _add_agreement(
    variables: dict[str, Any],
    coords: dict[str, Any],
    maps: Floats,
    folds: Sequence[Fold],
    seed: int,
) -> None:
    """Add how alike the runs are: all of them, folds (seeds averaged), seeds (folds averaged)."""
    groups = {"all": np.arange(len(folds))}
    for name in ("fold", "seed"):
        labels = np.array([getattr(each, name) for each in folds])
        if np.unique(labels).size > 1:
            groups[name] = labels
    n_methods, _, n_modalities, n_regions = maps.shape
    table = np.full((n_methods, len(groups), n_modalities, len(_STATISTICS)), np.nan)
    for where in np.ndindex(n_methods, n_modalities):
        own = maps[where[0], :, where[1]]
        for column, labels in enumerate(groups.values()):
            merged = np.stack([measured_mean(own[labels == each]) for each in np.unique(labels)])
            found = agreement(merged, n_top=max(3, n_regions // 8), seed=seed)
            table[where[0], column, where[1]] = [getattr(found, name) for name in _STATISTICS]
    coords |= {"over": list(groups), "statistic": list(_STATISTICS)}
    variables["agreement"] = (("method", "over", "modality", "statistic"), table)
    curves = [stability_curve(each.reshape(len(folds), -1), seed=seed) for each in maps]
    coords["n_averaged"] = np.arange(1, len(folds) // 2 + 1)
    variables["stability"] = (("method", "n_averaged"), np.stack(curves))
