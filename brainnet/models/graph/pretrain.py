"""Pre-training of the staging network on brain networks without stages."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from brainnet.models.core.fit import fit, fork_seed
from brainnet.models.core.pretrain import Hide, HideEdges, MaskedLoss
from brainnet.models.core.recipe import Recipe
from brainnet.models.core.state import History
from brainnet.models.edges import EdgeImputer
from brainnet.models.graph.brains import strongest
from brainnet.models.graph.gcn import GCN
from brainnet.models.graph.inputs import check_density, scale_of

__all__ = ["ConnectomeAutoencoder", "Pretrained", "pretrain_connectomes"]

BATCH_SIZE = 32  # subjects a step


@dataclass(frozen=True)
class Pretrained:
    """What a :class:`~brainnet.models.graph.estimator.GraphClassifier` can start from.

    Parameters
    ----------
    weights : mapping
        Of the encoders, by the names they have in the network.
    medians : (n_modalities, n_regions, n_regions) float64 array
        Fill unmeasured edges.
    centre, spread : (n_modalities, n_regions, n_regions) float32 arrays
        Scale the node features: the encoders know no other scale.
    history : History
        Losses by epoch; 1 is what the mean of each edge would reach.
    """

    weights: Mapping[str, Tensor]
    medians: NDArray[np.float64]
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]
    history: History


class ConnectomeAutoencoder(nn.Module):
    """Give back every edge of scaled brain networks from what the encoders see of them.

    An edge is read off the embeddings of its two regions in all modalities: the mean of a linear
    map from either end, so it is the same in both directions.

    Parameters
    ----------
    encoder : GCN
        Its head is not used.
    centre, spread : (n_modalities, n_regions, n_regions) tensors
        What scaled the networks.
    density : float
        Share of all possible edges that make the graph, as in ``strongest``.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, encoder: GCN, centre: Tensor, spread: Tensor, *, density: float) -> None:
        super().__init__()
        self.encoder, self.density = encoder, density
        self.register_buffer("centre", centre)
        self.register_buffer("spread", spread)
        n_modalities, n_regions, _ = centre.shape
        n_hidden = encoder.encoders[0].layers[-1].out_channels  # type: ignore[union-attr,index]
        self.decoder = nn.Linear(n_modalities * n_hidden, n_modalities * n_regions)

    def forward(self, networks: Tensor) -> Tensor:
        """Fill in scaled networks, ``(n_subjects, n_modalities, n_regions, n_regions)``."""
        adjacency = strongest(networks * self.spread + self.centre, density=self.density)
        n_modalities, n_regions = networks.shape[1:3]
        nodes = [
            encoder.embed(networks[:, each], adjacency[:, each])  # type: ignore[operator]
            for each, encoder in enumerate(self.encoder.encoders)
        ]  # (n_subjects, n_regions, n_hidden) each
        profiles = self.decoder(torch.cat(nodes, dim=-1)).unflatten(-1, (n_modalities, n_regions))
        profiles = profiles.transpose(1, 2)  # (n_subjects, n_modalities, n_regions, n_regions)
        filled: Tensor = (profiles + profiles.mT) / 2
        return filled


def pretrain_connectomes(
    networks: ArrayLike,
    *,
    density: float = 0.2,
    n_hidden: int = 32,
    recipe: Recipe | None = None,
    hide: Hide | None = None,
    progress: bool = False,
) -> Pretrained:
    """Train the encoders of the staging network to fill in hidden edges of brain networks.

    No stage is needed, so whatever networks there are can be used, but never those of subjects
    that a score will be taken on: what is learned here, is learned from them.

    Parameters
    ----------
    networks : (n_subjects, n_modalities, n_regions, n_regions) array
        NaN where not measured.
    density, n_hidden : float, int
        As the classifier will have them.
    recipe : Recipe, optional
    hide : callable, optional
        What is hidden; :class:`~brainnet.models.core.pretrain.HideEdges` by default.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    Pretrained
        For the ``start`` of a :class:`~brainnet.models.graph.estimator.GraphClassifier`.

    Raises
    ------
    ValueError
        ``density`` is outside (0, 1]; ``networks`` are not such as
        :class:`~brainnet.models.edges.EdgeImputer` takes.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.uniform(0, 1, size=(20, 1, 6, 6))
    >>> start = pretrain_connectomes(networks + networks.mT, recipe=Recipe(n_epochs=2))
    >>> sorted(start.weights)[0]
    'encoders.0.layers.0.bias'
    """
    check_density(density)
    recipe = recipe or Recipe(n_epochs=200, learning_rate=3e-3)
    imputer = EdgeImputer().fit(networks)
    filled = imputer.transform(networks)
    centre, spread = scale_of(filled)
    scaled = torch.from_numpy((filled.astype(np.float32) - centre) / spread)
    _, n_modalities, n_regions, _ = scaled.shape
    with fork_seed(recipe.seed):
        encoder = GCN(
            n_regions, n_modalities=n_modalities, n_regions=n_regions, n_context=0, n_outputs=2,
            n_hidden=n_hidden, dropout=0.0,
        )  # fmt: skip
        model = ConnectomeAutoencoder(
            encoder, torch.tensor(centre), torch.tensor(spread), density=density
        )
    loss = MaskedLoss(hide or HideEdges())
    history = fit(model, lambda epoch: _shuffled(scaled), loss, recipe=recipe, progress=progress)
    weights = {k: v for k, v in encoder.state_dict().items() if k.startswith("encoders.")}
    return Pretrained(weights, imputer.medians_, centre, spread, history)


def _shuffled(scaled: Tensor) -> Iterator[Tensor]:
    """Yield all subjects in batches, in an order drawn from torch's generator."""
    order = torch.randperm(len(scaled))
    yield from (scaled[rows] for rows in torch.split(order, BATCH_SIZE))
