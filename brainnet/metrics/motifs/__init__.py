"""How often each small pattern of edges, or motif, occurs in each network and at each region."""

from brainnet.metrics.motifs.binary import (
    motif_totals,
    motifs3_functional,
    motifs3_structural,
    motifs3_undirected,
    motifs4_functional,
    motifs4_structural,
    motifs4_undirected,
)
from brainnet.metrics.motifs.catalogue import all_motif_matrices, find_motif, motif_matrices
from brainnet.metrics.motifs.weighted import (
    WeightedMotifs,
    motifs3_functional_weighted,
    motifs3_structural_weighted,
    motifs3_undirected_weighted,
    motifs4_functional_weighted,
    motifs4_structural_weighted,
    motifs4_undirected_weighted,
)

__all__ = [
    "WeightedMotifs",
    "all_motif_matrices",
    "find_motif",
    "motif_matrices",
    "motif_totals",
    "motifs3_functional",
    "motifs3_functional_weighted",
    "motifs3_structural",
    "motifs3_structural_weighted",
    "motifs3_undirected",
    "motifs3_undirected_weighted",
    "motifs4_functional",
    "motifs4_functional_weighted",
    "motifs4_structural",
    "motifs4_structural_weighted",
    "motifs4_undirected",
    "motifs4_undirected_weighted",
]
