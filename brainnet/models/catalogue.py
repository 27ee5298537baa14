"""All estimators of stages by name: one frozen table for evaluation, benchmark, report and CLI.

To add one, write what makes it and add its row here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal

__all__ = ["BASELINES", "CATALOGUE", "GRAPH_NETWORKS", "Entry", "estimators"]

Kind = Literal["baseline", "graph", "ours"]


@dataclass(frozen=True)
class Entry:
    """One way of building a model of stages.

    Attributes
    ----------
    name : str
        Short, for tables and command lines.
    title : str
        What it is, for a reader.
    kind : {"baseline", "graph", "ours"}
    where : str
        ``module:callable`` that makes it; imported when it is made, so that a baseline does not
        wait for torch.
    sees : tuple of str
        Of ``covariates``, ``edges``, ``measures``, ``values``.
    grid : mapping
        Parameters to choose from on inner folds, and their values; empty where the estimator
        chooses for itself.
    options : mapping
        What the callable is called with, beside ``seed``.
    """

    name: str
    title: str
    kind: Kind
    where: str
    sees: tuple[str, ...]
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def make(self, seed: int = 0) -> Any:
        """Return a new estimator that is not fitted.

        Examples
        --------
        >>> type(CATALOGUE["svm"].make(seed=1)["classify"]).__name__
        'StageSVM'
        """
        module, attribute = self.where.split(":")
        return getattr(import_module(module), attribute)(**self.options, seed=seed)


def _graph(
    name: str, network: str, title: str, grid: Mapping[str, tuple[Any, ...]], **options: Any
) -> Entry:
    """Return a graph network that sees all that ours sees."""
    return Entry(
        name,
        title,
        "graph",
        "brainnet.models.graph.estimator:GraphClassifier",
        ("edges", "measures", "values"),
        grid,
        {
            "network": network,
            "features": ("profile", "measures", "values"),
            "context": ("graph_measures",),
            **options,
        },
    )


_DENSITIES = {"density": (0.1, 0.3)}
_RATES = {"learning_rate": (1e-3, 3e-3)}

_ROWS = (
    Entry("majority", "Majority stage", "baseline", "brainnet.models.linear:majority", ()),
    Entry(
        "covariates",
        "Covariates only, logistic",
        "baseline",
        "brainnet.models.covariates:covariate_logistic",
        ("covariates",),
    ),
    Entry(
        "linear",
        "Edges, logistic",
        "baseline",
        "brainnet.models.linear:edge_logistic",
        ("edges",),
    ),
    Entry("svm", "Edges, linear SVM", "baseline", "brainnet.models.svm:edge_svm", ("edges",)),
    Entry(
        "tangent",
        "Tangent space, logistic",
        "baseline",
        "brainnet.models.tangent:tangent_logistic",
        ("edges",),
    ),
    Entry(
        "forest",
        "Measures and values, random forest",
        "baseline",
        "brainnet.models.trees:region_forest",
        ("measures", "values"),
    ),
    Entry(
        "boosting",
        "Measures and values, gradient boosting",
        "baseline",
        "brainnet.models.trees:region_boosting",
        ("measures", "values"),
        {"classify__learning_rate": (0.05, 0.15)},
    ),
    Entry(
        "everything",
        "Edges, measures and values, linear SVM",
        "baseline",
        "brainnet.models.svm:everything_svm",
        ("edges", "measures", "values"),
    ),
    Entry(
        "kernel",
        "Heat diffusion kernel of graphs, SVM",
        "baseline",
        "brainnet.models.kernel:graph_kernel",
        ("edges",),
        {"kernel__density": (0.2, 0.4)},
    ),
    Entry(
        "mlp",
        "Edges, multi-layer perceptron",
        "baseline",
        "brainnet.models.perceptron:edge_perceptron",
        ("edges",),
        {"classify__alpha": (0.1, 10.0)},
    ),
    Entry(
        "stack",
        "Edges, measures and values, ridge by modality",
        "baseline",
        "brainnet.models.stack:ridge_stack",
        ("edges", "measures", "values"),
    ),
    _graph("gcn", "GCN", "Graph convolutional network", _DENSITIES),
    _graph("gatv2", "GATv2", "Graph attention network (v2)", _DENSITIES),
    _graph("gin", "GIN", "Graph isomorphism network", _DENSITIES),
    _graph("brainnetcnn", "BrainNetCNN", "BrainNetCNN", _RATES),
    _graph("braingnn", "BrainGNN", "BrainGNN", _DENSITIES),
    _graph("transformer", "BrainNetworkTransformer", "Brain Network Transformer", _RATES),
    Entry(
        "multiplex",
        "Multiplex graph network (ours)",
        "ours",
        "brainnet.models.graph.multiplex_staging:multiplex_network",
        ("edges", "measures", "values"),
    ),
)

#: Every estimator by its name, baselines first.
CATALOGUE: Mapping[str, Entry] = MappingProxyType({row.name: row for row in _ROWS})

#: Names of what always runs beside a graph network.
BASELINES = tuple(row.name for row in _ROWS if row.kind == "baseline")

#: Names of the graph networks of others, beside ours.
GRAPH_NETWORKS = tuple(row.name for row in _ROWS if row.kind == "graph")


def estimators(names: Iterable[str] | None = None, *, seed: int = 0) -> dict[str, Any]:
    """Return new estimators by name.

    Parameters
    ----------
    names : iterable of str, optional
        Of :data:`CATALOGUE`; all by default.
    seed : int
        Of whatever they draw.

    Raises
    ------
    ValueError
        If there is no estimator of a name.

    Examples
    --------
    >>> list(estimators(["majority", "linear"]))
    ['majority', 'linear']
    """
    asked = [names] if isinstance(names, str) else list(CATALOGUE if names is None else names)
    unknown = [each for each in asked if each not in CATALOGUE]
    if unknown:
        raise ValueError(
            f"estimators must be of {', '.join(CATALOGUE)}; got {', '.join(map(str, unknown))}."
        )
    return {each: CATALOGUE[each].make(seed) for each in asked}
