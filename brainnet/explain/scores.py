"""A fitted graph classifier as a function of its tensors, for gradients and masks."""

from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from torch import Tensor

from brainnet.cohort.subjects import Subjects, as_subjects
from brainnet.explain.targets import Target
from brainnet.models.graph.brains import Brains, strongest
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.graph.inputs import NODE_FEATURES
from brainnet.models.measures import with_measures

__all__ = ["Opened", "is_graph", "opened"]


class Opened(NamedTuple):
    """A graph classifier and subjects as it sees them.

    Attributes
    ----------
    classifier : GraphClassifier
    subjects : Subjects
        After whatever stands before the classifier in a pipeline.
    brains, baseline : Brains
        What the network gets, and what stands for a subject that tells nothing.
    widths : dict of str to int
        Columns of each node feature, in the order of the columns.
    """

    classifier: GraphClassifier
    subjects: Subjects
    brains: Brains
    baseline: Brains
    widths: dict[str, int]

    def score(self, brains: Brains, target: Target, own: Tensor) -> Tensor:
        """Return the target of each subject, differentiable in the tensors."""
        outputs = self.classifier.model_(brains)
        # captum asks for the gradient of every input, and a network need not look at each
        unused = sum(0.0 * each.sum() for each in brains[:4])
        return target(self.classifier.outcome_.probabilities(outputs), own) + unused


def is_graph(estimator: Any) -> bool:
    """Say whether an estimator is a graph classifier, or a pipeline that ends in one."""
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    return isinstance(last, GraphClassifier)


def opened(estimator: Any, networks: Any, *, graph: str = "mean") -> Opened:
    """Return a fitted graph classifier with its subjects as tensors, and their baseline.

    The baseline is the mean training subject: nodes, edges and context are 0, the training mean
    of what is scaled. Its graph is the one that the mean training network has at the classifier's
    density (``mean``), or the subject's ``own``. All of it was learned in ``fit``. An edge that a
    subject was not measured at keeps its filled-in value: nothing can be owed to it.

    Raises
    ------
    ValueError
        The estimator has no gradients; the subjects have other modalities or regions; ``graph``
        is not known.
    NotFittedError
        It was not fitted.
    """
    if graph not in ("own", "mean"):
        raise ValueError(f"graph must be 'own' or 'mean'; got {graph!r}.")
    if not is_graph(estimator):
        raise ValueError(
            "estimator must be a GraphClassifier where gradients or masks are asked for; got "
            f"{type(estimator).__name__}. Use occlusion, which needs predictions only."
        )
    subjects = as_subjects(networks)
    if isinstance(estimator, Pipeline):
        if len(estimator.steps) > 1:
            subjects = as_subjects(estimator[:-1].transform(subjects))
        estimator = estimator.steps[-1][1]
    if not hasattr(estimator, "model_"):
        raise NotFittedError(f"estimator must be fitted; this {type(estimator).__name__} is not.")
    if "measures" in estimator.inputs_.features or estimator.inputs_.context:
        subjects = with_measures(subjects)
    brains = estimator.inputs_.transform(subjects)
    baseline = _baseline(estimator, subjects, brains)
    if graph == "own":
        baseline = baseline._replace(adjacency=brains.adjacency)
    return Opened(estimator, subjects, brains, baseline, _widths(estimator, subjects))


def _baseline(classifier: GraphClassifier, subjects: Subjects, brains: Brains) -> Brains:
    """Return the mean training subject in place of each subject."""
    mean_graph = strongest(
        torch.from_numpy(np.asarray(classifier.inputs_.centre_)), density=classifier.inputs_.density
    )
    measured = torch.from_numpy(np.isfinite(subjects.edges))
    return Brains(
        nodes=torch.zeros_like(brains.nodes),
        edges=torch.zeros_like(brains.edges),
        adjacency=torch.where(measured, mean_graph, brains.adjacency),
        context=torch.zeros_like(brains.context),
        present=brains.present,
    )


def _widths(classifier: GraphClassifier, subjects: Subjects) -> dict[str, int]:
    """Columns of each node feature; the profile comes first, as in the tensors."""
    names = sorted(classifier.inputs_.features, key=lambda name: name != "profile")
    one = subjects[:1]
    return {name: int(NODE_FEATURES[name](one).shape[-1]) for name in names}
