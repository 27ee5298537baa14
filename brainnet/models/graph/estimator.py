"""The graph network as a scikit-learn classifier: fitted, cloned and scored like any other."""

from collections.abc import Callable, Mapping, Sequence
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from brainnet.io import DataError
from brainnet.models.core.checkpoint import CARD, load_arrays, load_checkpoint, save_checkpoint
from brainnet.models.core.fit import fit, fork_seed
from brainnet.models.core.networks import NETWORKS
from brainnet.models.core.pretrain import start_from
from brainnet.models.core.recipe import Recipe
from brainnet.models.edges import EdgeImputer
from brainnet.models.graph.gcn import MultiplexGCN
from brainnet.models.graph.pretrain import Pretrained, check_density, scale_of

__all__ = ["TASK", "GraphClassifier", "multiplex_graph"]

TASK = "staging"  # what the card of a saved classifier says

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
    start : Pretrained, optional
        What :func:`~brainnet.models.graph.pretrain.pretrain_connectomes` learned on other
        subjects: the encoders start from it, and its medians, means and spreads are used in
        place of the training subjects' own.
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
        start: Pretrained | None = None,
        seed: int = 0,
    ) -> None:
        self.density = density
        self.n_hidden = n_hidden
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.network = network
        self.start = start
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
        if self.start is None:
            self.imputer_ = EdgeImputer().fit(networks)
            filled = self.imputer_.transform(networks)
            self.centre_, self.spread_ = scale_of(filled)
        else:
            self.imputer_ = _imputer(self.start.medians)
            filled = self.imputer_.transform(networks)
            self.centre_, self.spread_ = self.start.centre, self.start.spread
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
        # core.predict cuts images to windows; a graph goes in whole
        batches = DataLoader(graphs, BATCH_SIZE, generator=order)
        with torch.no_grad():
            logits = torch.cat([self.model_(batch) for batch in batches])
        return torch.softmax(logits.double(), dim=1).numpy()

    def predict(self, networks: ArrayLike) -> NDArray[np.str_]:
        """Return the most probable stage of each subject."""
        chosen: NDArray[np.str_] = self.classes_[self.predict_proba(networks).argmax(axis=1)]
        return chosen

    def save(
        self,
        folder: Path | str,
        *,
        modalities: Sequence[str] = (),
        regions: Sequence[str] = (),
        scores: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the fitted classifier into a folder: a model card and safetensors, no pickle.

        Parameters
        ----------
        folder : path
            Made where it is missing.
        modalities, regions : sequences of str
            Names in the order of the axes, where they are known; they go into the card.
        scores : mapping, optional
            How well it does, and on whom; goes into the card.

        Raises
        ------
        ValueError
            If the network is not one that `brainnet.models.core.networks` can make again, or the
            number of names is not that of the axis.
        """
        check_is_fitted(self, "model_")
        n_modalities, n_regions, _ = self.centre_.shape
        for name, given, size in (
            ("modalities", modalities, n_modalities), ("regions", regions, n_regions),
        ):  # fmt: skip
            if given and len(given) != size:
                raise ValueError(f"{name} must be {size} names; got {len(given)}. Name them all.")
        names = {"modalities": list(modalities), "regions": list(regions)}
        card = self._card() | names | {"scores": dict(scores or {})}
        arrays = {
            "medians": torch.from_numpy(self.imputer_.medians_),
            "centre": torch.from_numpy(self.centre_),
            "spread": torch.from_numpy(self.spread_),
        }
        return save_checkpoint(folder, self.model_, card, arrays=arrays)

    @classmethod
    def load(cls, folder: Path | str) -> "GraphClassifier":
        """Return a classifier that `save` wrote; it predicts the same, bit for bit.

        It has no ``history_``; ``card_`` is its model card.

        Raises
        ------
        DataError
            If the folder holds no classifier, or one that is damaged or was changed.
        """
        folder = Path(folder)
        model, card = load_checkpoint(folder, task=TASK)
        arrays = {name: each.numpy() for name, each in load_arrays(folder, card).items()}
        try:
            options, training = card["network"]["options"], card["training"]
            classifier = cls(
                density=card["density"], n_hidden=options["n_hidden"],
                n_epochs=training["n_epochs"], learning_rate=training["learning_rate"],
                seed=training["seed"],
            )  # fmt: skip
            classifier.classes_ = np.asarray(card["stages"])
            classifier.centre_, classifier.spread_ = arrays["centre"], arrays["spread"]
            classifier.imputer_ = _imputer(arrays["medians"])
            n_modalities, n_regions = options["n_modalities"], options["n_features"]
            fits = classifier.classes_.shape == (options["n_stages"],) and all(
                each.shape == (n_modalities, n_regions, n_regions) for each in arrays.values()
            )
        except (KeyError, TypeError, ValueError) as error:
            what = f"the card is not that of a classifier of stages ({error!r})"
            raise DataError(folder / CARD, what, "Save the classifier anew") from error
        if not fits:
            what = "stages, centre, spread and medians do not fit the network"
            raise DataError(folder / CARD, what, "Save the classifier anew")
        classifier.model_, classifier.card_ = model, card
        return classifier

    def _card(self) -> dict[str, Any]:
        return {
            "task": TASK,
            "network": {"name": self._network_name(), "options": self._options()},
            "stages": self.classes_.tolist(),
            "density": float(self.density),
            "training": {
                "n_epochs": index(self.n_epochs),
                "learning_rate": float(self.learning_rate),
                "seed": index(self.seed),
                "pretrained": self.start is not None,
                "train_loss": self.history_.train_loss,
                "validation_loss": self.history_.validation_loss,
                "best_epoch": self.history_.best_epoch,
            },
        }

    def _network_name(self) -> str:
        made = f"{type(self.model_).__module__}:{type(self.model_).__qualname__}"
        for name, where in NETWORKS.items():
            if where == made:
                return name
        raise ValueError(f"network must be one of {', '.join(NETWORKS)} to be saved; got {made}.")

    def _options(self) -> dict[str, int]:
        n_modalities, n_regions, _ = self.centre_.shape
        return {
            "n_features": n_regions,
            "n_modalities": n_modalities,
            "n_stages": int(self.classes_.size),
            "n_hidden": index(self.n_hidden),
        }

    def _check(self, labels: NDArray) -> None:
        check_density(self.density)
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
        options = self._options()
        self.model_ = self.network(options.pop("n_features"), **options)
        if self.start is not None:
            start_from(self.model_, self.start.weights)
        loader = DataLoader([graphs[each] for each in inner], BATCH_SIZE, shuffle=True)
        n_epochs = index(self.n_epochs)
        self.history_ = fit(
            self.model_,
            lambda _: loader,
            _StageLoss(share),
            validation=[Batch.from_data_list([graphs[i] for i in held_out])] if held_out else None,
            recipe=Recipe(
                n_epochs=n_epochs if held_out else min(PATIENCE, n_epochs),
                learning_rate=float(self.learning_rate),
                patience=PATIENCE,
                seed=index(self.seed),
            ),
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


def _imputer(medians: NDArray[np.float64]) -> EdgeImputer:
    imputer = EdgeImputer()
    imputer.medians_ = medians
    return imputer


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
