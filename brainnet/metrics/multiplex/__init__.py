"""What only networks of several layers have: the same regions, a kind of edge in each layer.

Networks are ``(..., n_layers, n_regions, n_regions)``, without edges between layers. A measure of
each layer by itself, such as its degree or strength, is any other measure of this room: layers are
a leading axis there.
"""

from brainnet.metrics.multiplex.cores import (
    multiplex_coreness,
    multiplex_coreness_weighted,
    multiplex_vector_core,
)
from brainnet.metrics.multiplex.overlap import (
    edge_overlap,
    edge_overlap_weighted,
    mean_edge_overlap,
    multiplex_entropy,
    multiplex_participation,
    overlapping_degree,
    overlapping_strength,
    overlapping_strength_z,
)
from brainnet.metrics.multiplex.richness import (
    multiplex_core,
    multirichness,
    multirichness_weighted,
    richness,
    richness_weighted,
)
from brainnet.metrics.multiplex.similarity import (
    edge_reinforcement,
    layer_coactivity,
    layer_correlation,
    layer_overlap,
    node_activity,
)
from brainnet.metrics.multiplex.triangles import (
    clustering_three_layers,
    clustering_two_layers,
    transitivity_three_layers,
    transitivity_two_layers,
    triangles_three_layers,
    triangles_two_layers,
)
from brainnet.metrics.multiplex.versatility import eigenvector_versatility

__all__ = [
    "clustering_three_layers",
    "clustering_two_layers",
    "edge_overlap",
    "edge_overlap_weighted",
    "edge_reinforcement",
    "eigenvector_versatility",
    "layer_coactivity",
    "layer_correlation",
    "layer_overlap",
    "mean_edge_overlap",
    "multiplex_core",
    "multiplex_coreness",
    "multiplex_coreness_weighted",
    "multiplex_entropy",
    "multiplex_participation",
    "multiplex_vector_core",
    "multirichness",
    "multirichness_weighted",
    "node_activity",
    "overlapping_degree",
    "overlapping_strength",
    "overlapping_strength_z",
    "richness",
    "richness_weighted",
    "transitivity_three_layers",
    "transitivity_two_layers",
    "triangles_three_layers",
    "triangles_two_layers",
]
