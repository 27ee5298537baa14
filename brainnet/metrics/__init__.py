"""Edges to numbers: every measure of networks, as functions of (..., n_regions, n_regions) arrays.

One module a topic, each imported when it is first named: ``from brainnet import metrics``, then
``metrics.degree.degree(adjacency)``. ``metrics.sweep.sweep`` takes many measures of many networks;
``BCT.md`` beside this file lists every name of the Brain Connectivity Toolbox.
"""

import importlib
from typing import Any

__all__ = [
    "assortativity",
    "attack",
    "attack_order",
    "backbone",
    "betweenness",
    "centrality",
    "clustering",
    "clustering_signed",
    "communication",
    "communities",
    "components",
    "controllability",
    "cores",
    "degree",
    "diffusion",
    "efficiency",
    "flow",
    "generate",
    "generative",
    "idempotence",
    "measures",
    "module_search",
    "modules",
    "motifs",
    "multilayer",
    "multiplex",
    "navigation",
    "normalized",
    "nulls",
    "partitions",
    "paths",
    "rentian",
    "rich_club",
    "robustness",
    "roles",
    "routes",
    "routing",
    "shortcuts",
    "similarity",
    "small_world",
    "sweep",
    "unmeasured",
    "walks",
]


def __getattr__(name: str) -> Any:
    """Import a module of measures when it is first named."""
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the modules of measures."""
    return __all__
