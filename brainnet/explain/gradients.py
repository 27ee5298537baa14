"""Integrated gradients of a graph classifier, folded to regions, edges and features."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from brainnet.explain.attribution import Attribution
from brainnet.explain.scores import Opened, opened
from brainnet.explain.targets import Target
from brainnet.models.graph.brains import Brains
from brainnet.models.graph.inputs import NODE_FEATURES

__all__ = ["integrated_gradients"]

_ROWS = 256  # subjects times steps that are differentiated at once
_NEAR = 1e-6  # how far from the baseline, as a share of the way, counts as there


def integrated_gradients(
    estimator: Any,
    networks: Any,
    *,
    target: str = "extremes",
    stages: ArrayLike | None = None,
    graph: str = "own",
    n_steps: int = 32,
) -> Attribution:
    r"""Attribute a target to the inputs of a graph classifier.

    Nodes, edges, adjacency and context go together on a straight line from the mean training
    subject (:func:`~brainnet.explain.scores.opened`) to each subject:

    .. math:: a_i = (x_i - b_i) \int_0^1 \partial_i f(b + \alpha (x - b))\, d\alpha,
              \qquad \sum_i a_i = f(x) - f(b)

    by Gauss-Legendre quadrature (captum). An edge enters a network at up to six places (both ends'
    profiles, both triangles of ``edges`` and of the graph); for the map of edges they are added
    up. In the map of regions what is owed to feature :math:`j` of a profile, the edge to region
    :math:`j`, goes to :math:`j`: that is where a network that treats all nodes alike has weights
    for one region. What is owed to ``edges`` and the graph goes to both ends by halves.

    Parameters
    ----------
    estimator : GraphClassifier
        Fitted; or a pipeline that ends in one.
    networks : Subjects or (n_subjects, n_modalities, n_regions, n_regions) array
    target : str
        As :meth:`~brainnet.explain.targets.Target.of`.
    stages : (n_subjects,) array, optional
        For target ``own``.
    graph : {"own", "mean"}
        The graph of the baseline, along which messages pass: each subject's own, so that nothing
        is owed to it, or that of the mean training network. Attention and pooling change by leaps
        where an edge comes or goes, and no gradient sees a leap; with ``mean`` the gap says how
        much was lost. Networks that see edges in the graph alone need ``mean``.
    n_steps : int
        Places on the line, 1 or more. A network with rectifiers and maxima has kinks on it, so
        the sum misses :math:`f(x) - f(b)` by a little: :attr:`Attribution.gap`.

    Returns
    -------
    Attribution
        In units of the target.

    Raises
    ------
    ValueError
        The estimator has no gradients; the subjects are not such as it was fitted on; ``target``
        or ``n_steps`` is not one.
    NotFittedError
        It was not fitted.

    References
    ----------
    Sundararajan, Taly and Yan (2017), Axiomatic attribution for deep networks, ICML.
    """
    from captum.attr import IntegratedGradients

    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1; got {n_steps}. Try 32.")
    subject = opened(estimator, networks, graph=graph)
    chosen = Target.of(target, subject.classifier.classes_)
    own = chosen.columns(stages, len(subject.subjects))

    def score(*given: Tensor) -> Tensor:
        return subject.score(Brains(*given[:5]), chosen, given[5])

    method = IntegratedGradients(score)
    found: list[tuple[Tensor, ...]] = []
    for rows in torch.split(torch.arange(len(own)), max(1, _ROWS // n_steps)):
        brains, baseline = subject.brains.rows(rows), subject.baseline.rows(rows)
        found.append(
            method.attribute(
                tuple(brains[:4]),
                tuple(baseline[:4]),
                additional_forward_args=(brains.present, own[rows]),
                n_steps=n_steps,
            )
        )
    nodes, edges, adjacency, context = (
        torch.cat(each).detach().double().numpy() for each in zip(*found, strict=True)
    )
    return _folded(subject, (nodes, edges, adjacency, context), _change(subject, chosen, own))


def _change(subject: Opened, target: Target, own: Tensor) -> NDArray[np.float64]:
    """Target of each subject minus that right beside its baseline.

    At the baseline itself all is 0, which a network may take for a modality that is not there.
    """
    changes = []
    with torch.no_grad():
        for rows in torch.split(torch.arange(len(own)), _ROWS):
            brains, baseline = subject.brains.rows(rows), subject.baseline.rows(rows)
            inputs = zip(brains[:4], baseline[:4], strict=True)
            near = [start + _NEAR * (end - start) for end, start in inputs]
            beside = Brains._make([*near, brains.present])
            here, there = (subject.score(each, target, own[rows]) for each in (brains, beside))
            changes.append((here - there).double())
    change: NDArray[np.float64] = torch.cat(changes).numpy()
    return change


def _folded(
    subject: Opened, attributions: tuple[NDArray[np.float64], ...], change: NDArray[np.float64]
) -> Attribution:
    """Add up, for each region and each edge, all places where the network sees it."""
    nodes, edges, adjacency, context = attributions
    directed = edges + adjacency
    of_edges = (directed.sum(axis=3) + directed.sum(axis=2)) / 2
    features: dict[str, NDArray[np.float64]] = {}
    start = 0
    for name, width in subject.widths.items():
        columns = nodes[..., start : start + width]
        start += width
        if name == "profile":
            directed = directed + columns
            of_edges = of_edges + columns.sum(axis=2)
        else:
            seen = np.isfinite(NODE_FEATURES[name](subject.subjects)).any(axis=-1)
            features[name] = np.where(seen, columns.sum(axis=-1), np.nan)
    known = np.isfinite(subject.subjects.edges)
    diagonal = np.arange(known.shape[-1])
    known[..., diagonal, diagonal] = False
    parts = {"edges": np.where(known.any(axis=3), of_edges, np.nan), **features}
    undirected = np.where(known, directed + directed.swapaxes(2, 3), np.nan)
    undirected[..., diagonal, diagonal] = 0.0
    return Attribution(parts, undirected, context, change)
