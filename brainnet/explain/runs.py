"""The maps of one fitted estimator on the subjects it never saw."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.cohort.subjects import Subjects
from brainnet.explain.attribution import Attribution, sides, summarise
from brainnet.explain.gradients import integrated_gradients
from brainnet.explain.groups import GroupDifference, group_difference
from brainnet.explain.masks import gnn_explainer
from brainnet.explain.occlusion import occlude_measures, occlude_modalities, occlude_regions
from brainnet.explain.scores import is_graph
from brainnet.explain.targets import Target

__all__ = ["METHODS", "Question", "Run", "run_of"]

Floats = NDArray[np.float64]

METHODS = ("integrated_gradients", "occlusion", "gnn_explainer")


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of every run.

    Attributes
    ----------
    methods : tuple of str
    target : Target
    summary : str
    seed : int
    """

    methods: tuple[str, ...]
    target: Target
    summary: str
    seed: int


@dataclass(eq=False)
class Run:
    """Maps of one fitted estimator; what was not asked for is not there.

    Attributes
    ----------
    regions : dict of method to (n_modalities, n_regions) array
        Summaries over the subjects.
    subjects : dict of method to (n_subjects, n_modalities, n_regions) array
    edges : dict of method to (n_modalities, n_regions, n_regions) array
    parts : dict of part to (n_modalities, n_regions) array
    leave_out : (n_modalities,) array or None
    measures : (n_modalities, n_measures) array or None
    gap : float
        Of integrated gradients, relative to the mean absolute change.
    """

    regions: dict[str, Floats] = field(default_factory=dict)
    subjects: dict[str, Floats] = field(default_factory=dict)
    edges: dict[str, Floats] = field(default_factory=dict)
    parts: dict[str, Floats] = field(default_factory=dict)
    leave_out: Floats | None = None
    measures: Floats | None = None
    gap: float = 0.0


def run_of(
    estimator: Any,
    tested: Subjects,
    training: Subjects | None,
    stages: NDArray | None,
    question: Question,
) -> Run:
    """Return the maps of one estimator on the subjects tested."""
    run = Run()

    def summary(maps: ArrayLike) -> Floats:
        return summarise(maps, question.summary, stages=stages, target=question.target)

    asked: dict[str, Any] = {"target": question.target.name, "stages": stages}
    if "integrated_gradients" in question.methods:
        _add_gradients(run, integrated_gradients(estimator, tested, **asked), summary)
    if "occlusion" in question.methods:
        found = occlude_regions(estimator, tested, training, **asked)
        run.subjects["occlusion"], run.regions["occlusion"] = found, summary(found)
    if "gnn_explainer" in question.methods:
        masks = gnn_explainer(estimator, tested, seed=question.seed, **asked)
        run.regions["gnn_explainer"], run.edges["gnn_explainer"] = masks.regions[0], masks.edges[0]
    if training is not None:
        run.leave_out = summary(occlude_modalities(estimator, tested, training, **asked))
        run.measures = summary(occlude_measures(estimator, tested, training, **asked))
    return run


def _add_gradients(run: Run, found: Attribution, summary: Any) -> None:
    name = "integrated_gradients"
    run.subjects[name], run.regions[name] = found.regions, summary(found.regions)
    run.edges[name] = summary(found.edges)
    run.parts = {part: summary(values) for part, values in found.parts.items()}
    scale = np.abs(found.change).mean()
    run.gap = float(np.abs(found.gap).mean() / scale) if scale > 0 else 0.0


def default_methods(estimator: Any, methods: Sequence[str] | None) -> tuple[str, ...]:
    """Return the methods asked for, or the one that suits the estimator.

    Raises
    ------
    ValueError
        A method is not known, or needs gradients that the estimator does not have.
    """
    if methods is None:
        return METHODS[:1] if is_graph(estimator) else ("occlusion",)
    unknown = [each for each in methods if each not in METHODS]
    if unknown or isinstance(methods, str) or not methods:
        raise ValueError(f"methods must be of {', '.join(METHODS)}; got {methods!r}.")
    if not is_graph(estimator) and set(methods) != {"occlusion"}:
        raise ValueError(
            f"methods must be ('occlusion',) for {type(estimator).__name__}, which has no "
            f"gradients; got {tuple(methods)!r}. Gradients need a GraphClassifier."
        )
    return tuple(methods)


def difference_of(
    subjects: Subjects, stages: NDArray | None, target: Target
) -> GroupDifference | None:
    """Return how the two ends of a target differ; None where there are not two ends."""
    if stages is None or target.name == "own":
        return None
    try:
        high, low = sides(stages, target)
    except ValueError:
        return None
    if min(high.sum(), low.sum()) < 2:
        return None
    chosen = high | low
    labels = np.where(high, "high", "low")[chosen]
    return group_difference(subjects[chosen], labels, low="low", high="high")
