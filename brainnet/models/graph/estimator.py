"""A graph network as a scikit-learn classifier: fitted, cloned and scored like any other."""

from collections.abc import Callable, Mapping, Sequence
from operator import index
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from brainnet.cohort import stage_order
from brainnet.cohort.subjects import as_subjects
from brainnet.io import DataError
from brainnet.models.core.checkpoint import CARD, save_checkpoint
from brainnet.models.core.fit import fit, fork_seed, make_fabric
from brainnet.models.core.networks import build_network
from brainnet.models.core.pretrain import start_from
from brainnet.models.core.recipe import Recipe
from brainnet.models.core.state import History
from brainnet.models.fusion import stage_targets
from brainnet.models.graph.ensemble import Committee, calibrate
from brainnet.models.graph.fused import FusedCommittee, fuse_members
from brainnet.models.graph.heads import HEADS, Head
from brainnet.models.graph.inputs import GraphInputs
from brainnet.models.graph.pretrain import Pretrained
from brainnet.models.graph.saving import HARMONISED, described, imputer_of, loaded, named, restore
from brainnet.models.graph.training import Rows, Splits, WeightedLoss, inner_splits, outputs_of

__all__ = ["TASK", "GraphClassifier"]

TASK = "staging"  # what the card of a saved classifier says

HELD_OUT_ONE_IN = 5  # training subjects, to say when to stop
PATIENCE = 15  # epochs without a better held-out loss


class GraphClassifier(ClassifierMixin, BaseEstimator):
    """Stage subjects from their networks with a graph network.

    Everything it learns, it learns in :meth:`fit`: the medians that fill unmeasured edges, the
    mean and spread that scale edges and features, the weights, and (on an inner part of the
    training subjects) when to stop. Graphs keep each subject's strongest positive edges up to
    ``density``; that step looks at one subject at a time and learns nothing.

    Parameters
    ----------
    network : str or callable
        Name of a graph network (:data:`~brainnet.models.core.networks.NETWORKS`), or what makes
        one: ``network(n_features, n_modalities=, n_regions=, n_context=, n_outputs=, n_hidden=)``;
        it takes :class:`~brainnet.models.graph.brains.Brains`.
    features : sequence of str
        What describes a region: ``profile`` (its edges), ``measures``, ``values`` (volume, SUVR),
        ``coordinates``.
    context : sequence of str
        What describes the subject as a whole: ``graph_measures``, ``regional_means``.
    head : str or Head
        ``categorical``, or for stages in order ``coral`` or ``corn``
        (:data:`~brainnet.models.graph.heads.HEADS`).
    density : float
        Share of all possible edges kept in each modality's graph, in (0, 1].
    n_hidden : int
        Channels of the network.
    options : mapping, optional
        More of the network's own options.
    n_epochs : int
        Most epochs.
    learning_rate, weight_decay : float
        Of AdamW.
    stop : {"early", "last"}
        ``early``: a fifth of the training subjects of every stage is held out to decide when to
        stop: after 15 epochs without a better loss on them, back to the best. Where a stage has
        fewer than two training subjects nothing can be held out, and it stops after 15.
        ``last``: all epochs on all training subjects, the learning rate falling to 0 as a cosine.
    n_members : int
        So many networks, each trained without another part of the training subjects (with
        ``early``, that part decides when to stop); their outputs are averaged, and scaled and
        shifted to fit the parts left out (:func:`~brainnet.models.graph.ensemble.calibrate`).
        As many at most as the smallest stage has training subjects. 1: one network, as it is.
    fuse : bool
        Of two or more members that are a ``MultiplexNetwork``: whether, in place of the averaged
        outputs, their readings are joined, with linear ones in closed form, by what each stage's
        readings are like in the parts left out
        (:class:`~brainnet.models.graph.fused.FusedCommittee`).
    start : Pretrained, optional
        What :func:`~brainnet.models.graph.pretrain.pretrain_connectomes` learned on other
        subjects: the encoders start from it, and its medians, means and spreads are used in
        place of the training subjects' own.
    device : str
        ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
    seed : int
        Decides initial weights, dropout, order of subjects and the inner split. torch's global
        generator is left as it was.

    Attributes
    ----------
    classes_ : (n_stages,) array
        In order of severity where all of them are stages.
    inputs_ : GraphInputs
    outcome_ : Head
        What the outputs of ``model_`` mean.
    model_ : torch.nn.Module
        On the CPU, in evaluation mode; a :class:`~brainnet.models.graph.ensemble.Committee` of
        several members, or a :class:`~brainnet.models.graph.fused.FusedCommittee`.
    history_ : History
        Losses by epoch and the epoch kept, of the first member.

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

    def __init__(  # noqa: PLR0913  (scikit-learn's way: one flat list to search over)
        self,
        *,
        network: str | Callable[..., nn.Module] = "GCN",
        features: Sequence[str] = ("profile",),
        context: Sequence[str] = (),
        head: str | Head = "categorical",
        density: float = 0.2,
        n_hidden: int = 32,
        options: Mapping[str, Any] | None = None,
        n_epochs: int = 100,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        stop: Literal["early", "last"] = "early",
        n_members: int = 1,
        fuse: bool = False,
        start: Pretrained | None = None,
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self.network = network
        self.features = features
        self.context = context
        self.head = head
        self.density = density
        self.n_hidden = n_hidden
        self.options = options
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.stop = stop
        self.n_members = n_members
        self.fuse = fuse
        self.start = start
        self.device = device
        self.seed = seed

    def fit(
        self, networks: ArrayLike, stages: ArrayLike, groups: ArrayLike | None = None
    ) -> "GraphClassifier":
        """Learn from training subjects.

        Parameters
        ----------
        networks : Subjects or (n_subjects, n_modalities, n_regions, n_regions) array
            NaN where not measured.
        stages : (n_subjects,) array
        groups : (n_subjects,) array, optional
            Participant of each row: rows of one participant stay on one side of the inner split.
        """
        labels = np.asarray(stages)
        if np.unique(labels).size < 2:
            raise ValueError(f"stages must hold two or more; got {np.unique(labels).tolist()}.")
        self.classes_ = in_order(labels)
        places = {each: place for place, each in enumerate(self.classes_.tolist())}
        targets = np.array([places[each] for each in labels.tolist()])
        share = targets.size / (self.classes_.size * np.bincount(targets))
        return self.fit_targets(
            networks, torch.from_numpy(targets), strata=targets,
            weights=torch.tensor(share, dtype=torch.float32), groups=groups,
        )  # fmt: skip

    def fit_targets(
        self,
        networks: ArrayLike,
        targets: Tensor,
        *,
        strata: NDArray[np.int64],
        weights: Tensor,
        groups: ArrayLike | None = None,
    ) -> "GraphClassifier":
        """Learn whatever the head learns from; :meth:`fit` is this with stages.

        Parameters
        ----------
        networks : as in :meth:`fit`
        targets : (n_subjects, ...) tensor
            As the head's loss takes them.
        strata : (n_subjects,) array of int
            From 0; every inner part has its share of each.
        weights : (n,) float tensor
            Handed to the head's loss; the network has ``head.n_outputs(n)`` outputs.
        groups : (n_subjects,) array, optional
            As in :meth:`fit`.
        """
        self._check()
        subjects = as_subjects(networks)
        if len(subjects) != len(targets):
            raise ValueError(
                f"networks must have one target each; got {len(subjects)} networks and "
                f"{len(targets)} targets. Give them in the same order."
            )
        self.inputs_ = GraphInputs(
            density=self.density, features=self.features, context=self.context
        ).fit(subjects)
        if self.start is not None:
            self.inputs_.imputer_ = imputer_of(self.start.medians)
            self.inputs_.centre_, self.inputs_.spread_ = self.start.centre, self.start.spread
        self.n_outputs_ = self._head.n_outputs(len(weights))
        rows = subjects.participants if groups is None else np.asarray(groups)
        if rows.shape != (len(subjects),):
            raise ValueError(
                f"groups must be one a subject, ({len(subjects)},); got shape {rows.shape}. "
                "Give the participant of each row."
            )
        device = _device(self.device)
        data = Rows(self.inputs_.transform(subjects).to(device), targets.to(device))
        with fork_seed(index(self.seed)):
            self._train(data, WeightedLoss(self._head, weights.to(device)), strata, rows)
        return self

    def predict_proba(self, networks: ArrayLike) -> NDArray[np.float64]:
        """Return ``(n_subjects, n_stages)`` probabilities in the order of ``classes_``."""
        probabilities: NDArray[np.float64] = (
            self.outcome_.probabilities(self.outputs(networks)).double().numpy()
        )
        return probabilities

    def outputs(self, networks: ArrayLike) -> Tensor:
        """Return what the network gives for each subject, ``(n_subjects, n_outputs)``."""
        check_is_fitted(self, "model_")
        return outputs_of(self.model_, self.inputs_.transform(networks))

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
        names = named(self, modalities, regions)
        card, arrays = self.on_disk()
        card |= names | {"scores": dict(scores or {})}
        return save_checkpoint(folder, self.model_, card, arrays=arrays)

    def on_disk(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return the card and the arrays that :meth:`restored` makes the classifier of again.

        Raises
        ------
        ValueError
            If the network or the head is not one that can be made by name.
        """
        if not isinstance(self.head, str):
            raise ValueError(f"head must be one of {', '.join(HEADS)} to be saved.")
        card, arrays = described(self)
        own = {"task": TASK, "stages": self.classes_.tolist(), "head": self.head}
        return own | card, arrays

    @classmethod
    def load(cls, folder: Path | str) -> "GraphClassifier":
        """Return a classifier that `save` wrote; it predicts the same, bit for bit.

        It has no ``history_``; ``card_`` is its model card.

        Raises
        ------
        DataError
            If the folder holds no classifier, or one that is damaged or was changed, or one of
            harmonised subjects (:meth:`brainnet.models.harmonised.Harmonised.load`).
        """
        found = loaded(folder, TASK, cls.restored)
        if HARMONISED in found.card_:
            raise DataError(
                Path(folder) / CARD,
                "is of a model of harmonised subjects, and without harmonisation it would err",
                "Load it with brainnet.models.saved.load_stager or Harmonised.load",
            )
        return found

    @classmethod
    def restored(
        cls, model: nn.Module, card: dict[str, Any], arrays: Mapping[str, NDArray]
    ) -> "GraphClassifier":
        """Return the classifier of a network, its card and its arrays, as `save` wrote them.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the card is not that of a classifier.
        """
        classifier = restore(cls(head=card["head"]), model, card, arrays)
        classifier.classes_ = np.asarray(card["stages"])
        n_stages = len(classifier.classes_)
        joined = len(model.means) if isinstance(model, FusedCommittee) else n_stages
        if classifier._head.n_outputs(n_stages) != classifier.n_outputs_ or joined != n_stages:
            raise ValueError("stages do not fit the network")
        return classifier

    def _check(self) -> None:
        if self.stop not in ("early", "last"):
            raise ValueError(f"stop must be early or last; got {self.stop!r}.")
        least = 2 if self.fuse else 1
        if index(self.n_members) < least:
            why = " to fuse what they read" if self.fuse else ""
            raise ValueError(f"n_members must be {least} or more{why}; got {self.n_members}.")
        if self.fuse and self.network != "MultiplexNetwork":
            raise ValueError(f"network must be MultiplexNetwork to fuse; got {self.network!r}.")

    @property
    def outcome_(self) -> Head:
        """What the outputs of the fitted network mean: a committee that fuses gives chances."""
        return HEADS["categorical"] if isinstance(self.model_, FusedCommittee) else self._head

    @property
    def _head(self) -> Head:
        if isinstance(self.head, str):
            if self.head not in HEADS:
                raise ValueError(f"head must be one of {', '.join(HEADS)}; got {self.head!r}.")
            return HEADS[self.head]
        return self.head

    def network_options(self) -> dict[str, Any]:
        """Return all that the network is made with, once inputs are learned."""
        return {
            **self.inputs_.sizes,
            "n_outputs": self.n_outputs_,
            "n_hidden": index(self.n_hidden),
            **(self.options or {}),
        }

    def _build(self) -> nn.Module:
        if isinstance(self.network, str):
            return build_network(self.network, self.network_options())
        options = self.network_options()
        return self.network(options.pop("n_features"), **options)

    def _train(self, data: Rows, loss: WeightedLoss, strata: NDArray, groups: NDArray) -> None:
        """Train the network, or all members of a committee and then their correction."""
        n_members, seed = index(self.n_members), index(self.seed)
        n_splits = n_members if n_members > 1 else HELD_OUT_ONE_IN
        splits = inner_splits(strata, groups, n_splits, seed)
        if n_members == 1:
            inner, held_out = splits[0]
            if self.stop == "last":
                inner, held_out = np.arange(strata.size), held_out[:0]
            self.model_, self.history_ = self._train_one(data, loss, inner, held_out, seed)
            return
        trained = [
            self._train_one(data, loss, *split, seed * n_members + number)
            for number, split in enumerate(splits)
        ]
        self.history_ = trained[0][1]
        if self.fuse and splits[0][1].size:
            self.model_ = self._fused([model for model, _ in trained], splits, data, strata)
            return
        committee = Committee((model for model, _ in trained), self.n_outputs_)
        parts = [(model, *data.take(torch.from_numpy(held_out)))
                 for (model, _), (_, held_out) in zip(trained, splits, strict=True)
                 if held_out.size]  # fmt: skip
        if parts:
            outputs = torch.cat([outputs_of(model, brains.to("cpu")) for model, brains, _ in parts])
            targets = torch.cat([each.cpu() for *_, each in parts])
            committee.correct(*calibrate(outputs, targets, loss.head, loss.weights.cpu()))
        self.model_ = committee.eval()

    def _fused(
        self, members: list[nn.Module], splits: Splits, data: Rows, strata: NDArray
    ) -> FusedCommittee:
        """Join what trained members read."""
        committee = FusedCommittee(
            network="MultiplexNetwork", n_members=len(members), n_stages=len(self.classes_),
            n_targets=stage_targets(self.classes_).shape[1], **self.network_options(),
        )  # fmt: skip
        committee.members = nn.ModuleList(members)
        held_out = [rows for _, rows in splits]
        brains = data.brains.to("cpu")
        return fuse_members(committee.eval(), brains, held_out, self.classes_, strata)

    def _train_one(
        self, data: Rows, loss: WeightedLoss, inner: NDArray, held_out: NDArray, seed: int
    ) -> tuple[nn.Module, History]:
        """Build one network and fit it to some of the subjects."""
        model = self._build()
        if self.start is not None:
            start_from(model, self.start.weights)
        early = self.stop == "early"
        n_epochs = index(self.n_epochs)
        recipe = Recipe(
            n_epochs=n_epochs if held_out.size or not early else min(PATIENCE, n_epochs),
            learning_rate=float(self.learning_rate),
            weight_decay=float(self.weight_decay),
            schedule="constant" if early else "cosine",
            patience=PATIENCE,
            seed=seed,
        )
        validation = [data.take(torch.from_numpy(held_out))] if early and held_out.size else None
        history = fit(
            model,
            lambda _: data.shuffled(inner),
            loss,
            validation=validation,
            recipe=recipe,
            fabric=make_fabric(recipe, accelerator=_device(self.device)),
        )
        return model.cpu().eval(), history


def in_order(labels: NDArray) -> NDArray:
    """Return the classes: stages from healthy to ill where all are stages, else sorted."""
    classes = np.unique(labels)
    if classes.dtype.kind == "U":
        return np.array(stage_order(classes.tolist()))
    return classes


def _device(name: str) -> str:
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda; got {name!r}.")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ValueError("device must be one that is there; torch sees no CUDA device. Use cpu.")
    return "cuda" if there and name != "cpu" else "cpu"
