"""Our estimator of stages: how the multiplex network is made and trained."""

from typing import Any

from brainnet.models.graph.estimator import GraphClassifier

__all__ = ["multiplex_network"]


def multiplex_network(seed: int = 0, **options: Any) -> GraphClassifier:
    """Return our estimator of stages: five multiplex networks, ordinal heads, readings fused.

    Parameters
    ----------
    seed : int
    **options
        Of :class:`~brainnet.models.graph.estimator.GraphClassifier`, in place of ours.

    Returns
    -------
    GraphClassifier
        Not fitted.

    Examples
    --------
    >>> multiplex_network().n_members, multiplex_network(n_members=3).n_members
    (5, 3)
    """
    ours: dict[str, Any] = {
        "network": "MultiplexNetwork",
        "features": ("values", "measures"),
        "context": ("graph_measures", "regional_means"),
        "head": "coral",
        "n_hidden": 8,
        "options": {"n_scores": 1, "n_regional": 1},
        "n_epochs": 25,
        "learning_rate": 1.5e-2,
        "weight_decay": 0.3,
        "stop": "last",
        "n_members": 5,
        "fuse": True,
    }
    return GraphClassifier(**ours | options, seed=seed)
