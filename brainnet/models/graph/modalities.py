"""One encoder a modality, their results side by side, one head: the frame of most networks."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from brainnet.models.graph.brains import Brains

__all__ = ["SideBySide"]


class SideBySide(nn.Module):
    """Encode each modality on its own, join what comes out with the context, and classify.

    A modality that a subject lacks comes in as the mean of the training subjects (scaled: 0).

    Parameters
    ----------
    encoders : iterable of torch.nn.Module
        One a modality, ``encoder(nodes, edges, adjacency)`` of ``(n_subjects, n_regions, ...)``
        tensors giving ``(n_subjects, n_encoded)``.
    n_encoded : int
        Numbers that one encoder gives.
    n_context, n_outputs, n_hidden : int
    dropout : float
    """

    def __init__(
        self,
        encoders: Iterable[nn.Module],
        *,
        n_encoded: int,
        n_context: int,
        n_outputs: int,
        n_hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Sequential(
            nn.Linear(n_encoded * len(self.encoders) + n_context, n_hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(n_hidden, n_outputs),
        )

    def forward(self, brains: Brains) -> Tensor:
        """Return the outputs ``(n_subjects, n_outputs)`` of a batch of subjects."""
        encoded = [
            encode(brains.nodes[:, each], brains.edges[:, each], brains.adjacency[:, each])
            for each, encode in enumerate(self.encoders)
        ]
        outputs: Tensor = self.head(self.dropout(torch.cat([*encoded, brains.context], dim=1)))
        return outputs
