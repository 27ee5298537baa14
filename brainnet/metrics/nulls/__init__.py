"""Random networks that keep something of the network they are compared with."""

from brainnet.metrics.nulls.connected import rewire_connected, rewire_connected_directed
from brainnet.metrics.nulls.lattice import (
    latticize,
    latticize_connected,
    latticize_connected_directed,
    latticize_directed,
)
from brainnet.metrics.nulls.layers import permute_layers, rewire_layers
from brainnet.metrics.nulls.rewire import rewire, rewire_directed, rewire_partial
from brainnet.metrics.nulls.signed import rewire_signed, rewire_signed_directed
from brainnet.metrics.nulls.spatial import length_difference, rewire_spatial
from brainnet.metrics.nulls.strength import (
    rewire_strength_annealed,
    rewire_strength_annealed_directed,
    rewire_strength_ranked,
    rewire_strength_ranked_directed,
    strength_correlation,
)

__all__ = [
    "latticize",
    "latticize_connected",
    "latticize_connected_directed",
    "latticize_directed",
    "length_difference",
    "permute_layers",
    "rewire",
    "rewire_connected",
    "rewire_connected_directed",
    "rewire_directed",
    "rewire_layers",
    "rewire_partial",
    "rewire_signed",
    "rewire_signed_directed",
    "rewire_spatial",
    "rewire_strength_annealed",
    "rewire_strength_annealed_directed",
    "rewire_strength_ranked",
    "rewire_strength_ranked_directed",
    "strength_correlation",
]
