"""The graph network as a scikit-learn classifier: fitted, cloned and scored like any other."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from brainnet.models.core.fit import fit, fork_seed
from brainnet.models.edges import EdgeImputer
from brainnet.models.graph.gcn import MultiplexGCN

__all__ = ["GraphClassifier", "multiplex_graph"]

BATCH_SIZE = 32  # subjects a step
HELD_OUT_ONE_IN = 5  # training subjects, to say when to stop
PATIENCE = 15  # epochs without a better held-out loss


class GraphClassifier(ClassifierMixin, BaseEstimator):
    """Stage subjects from their networks with a :class:`~brainnet.models.graph.gcn.MultiplexGCN`.

    Everything it learns, it learns in :meth:`fit`: the medians that fill unmeasured edges, the
    mean and spread of each edge that scale the node features, the weights, and (on an inner part
    of the training subjects) when to stop. Graphs keep each subject's strongest positive edges
    up to ``density``; that step looks at one subject at a time and learns nothing.

    Parameters
    ----------
    density : float
        Share of all possible edges kept in each modality's graph, in (0, 1].
    n_hidden : int
        Channels of the network.
    n_epochs : int
        Most epochs. A fifth of the training subjects of every stage is held out to decide when
        to stop: after 15 epochs without a better loss on them, back to the best. Where a stage
        has fewer than two training subjects nothing can be held out, and it stops after 15.
    learning_rate : float
        Of AdamW.
    network : callable
        Makes the torch module, as ``network(n_regions, n_modalities=, n_stages=, n_hidden=)``;
        its input is a batch of :func:`multiplex_graph`, its output logits.
    seed : int
        Decides initial weights, dropout, order of subjects and the inner split. torch's global
        generator is left as it was.

    Attributes
    ----------
    classes_ : (n_stages,) array
    imputer_ : EdgeImputer
    centre_, spread_ : (n_modalities, n_regions, n_regions) float32 arrays
    model_ : MultiplexGCN
        On the CPU, in evaluation mode.
    history_ : History
        Losses by epoch and the epoch kept.

    Notes
    -----
    Stages count equally in the loss, whatever their number of subjects. On one thread the same
    seed gives the same bits; the number of threads may change the last digits.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.uniform(0, 0.2, size=(16, 1, 6, 6))
    >>> networks = networks + networks.swapaxes(2, 3)
    >>> networks[8:, :, :3, :3] += 0.6
    >>> model = GraphClassifier(n_epochs=30, learning_rate=0.02)
    >>> model.fit(networks, ["CN"] * 8 + ["AD"] * 8).score(networks, ["CN"] * 8 + ["AD"] * 8)
    1.0
    """

    def __init__(
        self,
        *,
        density: float = 0.2,
        n_hidden: int = 32,
        n_epochs: int = 100,
        learning_rate: float = 3e-3,
        network: Callable[..., nn.Module] = MultiplexGCN,
        seed: int = 0,
    ) -> None:
        self.density = density
        self.n_hidden = n_hidden
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.network = network
        self.seed = seed

    def fit(
        self, networks: ArrayLike, stages: ArrayLike, groups: ArrayLike | None = None
    ) -> "GraphClassifier":
        """Learn from training subjects.

        Parameters
        ----------
        networks : (n_subjects, n_modalities, n_regions, n_regions) array
            NaN where not measured.
        stages : (n_subjects,) array
        groups : (n_subjects,) array, optional
            Participant of each row: rows of one participant stay on one side of the inner split.
        """
        labels = np.asarray(stages)
        self._check(labels)
        self.classes_, targets = np.unique(labels, return_inverse=True)
        self.imputer_ = EdgeImputer().fit(networks)
        filled = self.imputer_.transform(networks)
        self.centre_ = filled.mean(axis=0).astype(np.float32)
        spread = filled.std(axis=0)
        self.spread_ = np.where(spread > 1e-8, spread, 1.0).astype(np.float32)
        graphs = self._graphs(filled, targets)
        rows = np.arange(labels.size) if groups is None else np.asarray(groups)
        with fork_seed(self.seed):
            self._train(graphs, targets, rows)
        return self

    def predict_proba(self, networks: ArrayLike) -> NDArray[np.float64]:
        """Return ``(n_subjects, n_stages)`` probabilities in the order of ``classes_``."""
        check_is_fitted(self, "model_")
        graphs = self._graphs(self.imputer_.transform(networks), None)
        order = torch.Generator()  # a loader without its own draws from the global one
        batches = DataLoader(graphs, BATCH_SIZE, generator=order)
        with torch.no_grad():
            logits = torch.cat([self.model_(batch) for batch in batches])
        return torch.softmax(logits.double(), dim=1).numpy()

    def predict(self, networks: ArrayLike) -> NDArray[np.str_]:
        """Return the most probable stage of each subject."""
        chosen: NDArray[np.str_] = self.classes_[self.predict_proba(networks).argmax(axis=1)]
        return chosen

    def _check(self, labels: NDArray) -> None:
        if not 0 < self.density <= 1:
            raise ValueError(f"density must be in (0, 1]; got {self.density}. Try 0.2.")
        if np.unique(labels).size < 2:
            raise ValueError(f"stages must hold two or more; got {np.unique(labels).tolist()}.")

    def _graphs(self, filled: NDArray[np.float64], targets: NDArray | None) -> list[Data]:
        """One PyG graph a subject; node features are scaled connection profiles."""
        profiles = (filled.astype(np.float32) - self.centre_) / self.spread_
        graphs = [
            multiplex_graph(weights, profile, density=self.density)
            for weights, profile in zip(filled, profiles, strict=True)
        ]
        for graph, target in zip(graphs, targets if targets is not None else [], strict=False):
            graph.y = torch.tensor([target])
        return graphs

    def _train(self, graphs: list[Data], targets: NDArray, groups: NDArray) -> None:
        """Build the network and fit it, holding out an inner part where there is one."""
        inner, held_out = _inner_split(targets, groups, self.seed)
        counts = np.bincount(targets, minlength=self.classes_.size)
        share = torch.tensor(targets.size / (self.classes_.size * counts), dtype=torch.float32)
        n_modalities, n_regions, _ = self.centre_.shape
        self.model_ = self.network(
            n_regions,
            n_modalities=n_modalities,
            n_stages=self.classes_.size,
            n_hidden=self.n_hidden,
        )
        train = [graphs[each] for each in inner]
        self.history_ = fit(
            self.model_,
            DataLoader(train, BATCH_SIZE, shuffle=True),
            _StageLoss(share),
            validation=[Batch.from_data_list([graphs[i] for i in held_out])] if held_out else None,
            n_epochs=self.n_epochs if held_out else min(PATIENCE, self.n_epochs),
            learning_rate=self.learning_rate,
            patience=PATIENCE,
        )


def multiplex_graph(
    weights: NDArray[np.float64], profiles: NDArray[np.float32], *, density: float
) -> Data:
    """Return one subject as a PyG graph with an edge set for each modality.

    Each modality keeps its strongest positive edges, as many as ``density`` says, in both
    directions. Any PyG convolution that takes edge weights can run on the result.

    Parameters
    ----------
    weights : (n_modalities, n_regions, n_regions) array
        Symmetric and finite. Edges at or below 0 are never kept.
    profiles : (n_modalities, n_regions, n_features) float32 array
        Node features.
    density : float
        Share of the ``n_regions * (n_regions - 1) / 2`` possible edges, in (0, 1].

    Returns
    -------
    torch_geometric.data.Data
        ``x`` ``(n_regions, n_modalities, n_features)``, ``edge_index_m`` ``(2, n_edges)`` and
        ``edge_weight_m`` ``(n_edges,)`` for each modality ``m``.

    Examples
    --------
    >>> weights = np.array([[[0, 0.9, 0.1], [0.9, 0, -0.5], [0.1, -0.5, 0]]])
    >>> graph = multiplex_graph(weights, weights.astype(np.float32), density=1 / 3)
    >>> graph.edge_index_0.tolist()
    [[0, 1], [1, 0]]
    """
    n_regions = weights.shape[-1]
    graph = Data(x=torch.from_numpy(profiles.transpose(1, 0, 2).copy()), num_nodes=n_regions)
    rows, columns = np.triu_indices(n_regions, k=1)
    n_kept = max(1, round(density * rows.size))
    for modality, each in enumerate(weights):
        edges = each[rows, columns]
        strongest = np.argsort(-edges, kind="stable")[:n_kept]
        kept = np.sort(strongest[edges[strongest] > 0])
        ends = np.stack([rows[kept], columns[kept]])
        both_ways = np.concatenate([ends, ends[::-1]], axis=1)
        graph[f"edge_index_{modality}"] = torch.from_numpy(both_ways)
        graph[f"edge_weight_{modality}"] = torch.from_numpy(np.tile(edges[kept], 2)).float()
    return graph


class _StageLoss:
    """Cross-entropy in which every stage weighs the same; a class so that models pickle."""

    def __init__(self, share: Tensor) -> None:
        self.share = share

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return nn.functional.cross_entropy(model(batch), batch.y, weight=self.share)


def _inner_split(
    targets: NDArray, groups: NDArray, seed: int
) -> tuple[Sequence[int], Sequence[int]]:
    """Split rows into those that train and those that say when to stop (none if too few)."""
    everyone = list(range(targets.size))
    members = [np.unique(groups[targets == each]).size for each in range(targets.max() + 1)]
    n_splits = min(HELD_OUT_ONE_IN, *members)
    if n_splits < 2:
        return everyone, []
    folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    inner, held_out = next(folds.split(everyone, targets, groups))
    return inner.tolist(), held_out.tolist()
