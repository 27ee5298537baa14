"""A multi-layer perceptron on edges: a neural network that knows of no graph."""

from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neural_network import MLPClassifier
from sklearn.utils.validation import check_is_fitted, validate_data

from brainnet.models.edges import EdgeTable
from brainnet.models.rotation import rotate
from brainnet.models.stages import (
    Splits,
    StageClassifier,
    StagePipeline,
    balanced_weights,
    check_stages,
    held_out_loss,
    inner_splits,
)
from brainnet.models.tables import MedianFill, Standardise

__all__ = ["StagePerceptron", "edge_perceptron"]

Floats = NDArray[np.float64]

BATCH_SIZE = 32  # subjects a step
HELD_OUT_ONE_IN = 5  # training subjects, to say when to stop
PATIENCE = 15  # epochs without a better held-out loss


def edge_perceptron(*, seed: int = 0) -> StagePipeline:
    """Return a perceptron with one hidden layer on every edge of every modality.

    Edges are filled and scaled as in :func:`~brainnet.models.linear.edge_logistic`.

    Parameters
    ----------
    seed : int
        Decides initial weights, order of subjects and the inner split.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.normal(size=(20, 1, 5, 5))
    >>> networks = networks + networks.swapaxes(2, 3)
    >>> networks[10:, 0, 1, :] = networks[10:, 0, :, 1] = 20
    >>> edge_perceptron().fit(networks, ["CN"] * 10 + ["AD"] * 10).predict(networks[[0, -1]])
    array(['CN', 'AD'], dtype='<U2')
    """
    return StagePipeline(
        [
            ("edges", EdgeTable()),
            ("fill", MedianFill()),
            ("scale", Standardise()),
            ("classify", StagePerceptron(seed=seed)),
        ]
    )


class StagePerceptron(StageClassifier):
    """scikit-learn's perceptron, stopped on whole participants, on the principal axes of its rows.

    A wide table is turned onto its rows' principal axes first
    (:func:`~brainnet.models.rotation.rotate`), each a linear map of the columns, so that the first
    layer has as many inputs as there are subjects; it is turned back once fitted. Stages count
    equally in the loss.

    Parameters
    ----------
    n_hidden : int
        Units of the hidden layer (rectified).
    alpha : float
        L2 penalty of the weights.
    learning_rate : float
        Of Adam.
    n_epochs : int
        Most epochs. A fifth of the training participants is held out to decide when to stop:
        after 15 epochs without a better loss on them, back to the best. Where a stage has fewer
        than two participants nothing can be held out, and it stops after 15.
    seed : int
        Decides initial weights, order of subjects and the inner split.

    Attributes
    ----------
    layers_ : list of (weights, bias) arrays
        Of the columns as they were given.
    losses_ : list of float
        Held-out loss by epoch; empty where nothing was held out.
    classes_ : (n_stages,) array

    Examples
    --------
    >>> rows = np.repeat([[0.0, 1.0], [1.0, 0.0]], 10, axis=0)
    >>> StagePerceptron().fit(rows, ["CN"] * 10 + ["AD"] * 10).predict([[0, 1], [1, 0]])
    array(['CN', 'AD'], dtype='<U2')
    """

    def __init__(
        self,
        *,
        n_hidden: int = 32,
        alpha: float = 1.0,
        learning_rate: float = 3e-3,
        n_epochs: int = 200,
        seed: int = 0,
    ) -> None:
        self.n_hidden = n_hidden
        self.alpha = alpha
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.seed = seed

    def fit(
        self, table: ArrayLike, stages: ArrayLike, groups: ArrayLike | None = None
    ) -> "StagePerceptron":
        """Learn from training subjects.

        Parameters
        ----------
        table : (n_subjects, n_columns) array
        stages : (n_subjects,) array
        groups : (n_subjects,) array, optional
            Participant of each row: those of one stay on one side of the inner split.
        """
        checked: Floats = validate_data(self, table, dtype=np.float64)
        labels = check_stages(stages, len(checked))
        self.classes_ = np.unique(labels)
        turned = rotate(checked)
        # inputs of variance 1 on average, as the initial weights expect
        spread = np.sqrt(turned.rows.shape[1])
        splits = inner_splits(labels, groups, n_splits=HELD_OUT_ONE_IN, seed=self.seed)
        (first, bias), *rest = self._train(turned.rows * spread, labels, splits[:1])
        self.layers_ = [(turned.to_columns(checked, first * spread), bias), *rest]
        return self

    def scores(self, table: ArrayLike) -> Floats:
        """Return ``(n_subjects, n_stages)`` logits; one column for two stages."""
        check_is_fitted(self)
        return _forward(validate_data(self, table, dtype=np.float64, reset=False), self.layers_)

    def _train(self, rows: Floats, labels: NDArray, splits: Splits) -> list[tuple[Floats, Floats]]:
        """Return the layers of the epoch with the least held-out loss."""
        inner, held_out = splits[0] if splits else (np.arange(labels.size), np.arange(0))
        weights = balanced_weights(labels)[inner]
        network: Any = MLPClassifier(
            hidden_layer_sizes=(index(self.n_hidden),),
            alpha=self.alpha,
            learning_rate_init=self.learning_rate,
            batch_size=min(BATCH_SIZE, inner.size),
            random_state=index(self.seed),
        )
        self.losses_: list[float] = []
        best = 0
        layers: list[tuple[Floats, Floats]] = []
        for epoch in range(self.n_epochs if splits else min(PATIENCE, self.n_epochs)):
            network.partial_fit(
                rows[inner], labels[inner], classes=self.classes_, sample_weight=weights
            )
            if splits:
                scores = _forward(rows[held_out], _layers(network))
                self.losses_.append(held_out_loss(scores, labels[held_out], self.classes_))
            if not splits or self.losses_[epoch] == min(self.losses_):
                best, layers = epoch, _layers(network)
            elif epoch - best >= PATIENCE:
                break
        return layers


def _layers(network: Any) -> list[tuple[Floats, Floats]]:
    return [
        (weights.copy(), bias.copy())
        for weights, bias in zip(network.coefs_, network.intercepts_, strict=True)
    ]


def _forward(rows: Floats, layers: list[tuple[Floats, Floats]]) -> Floats:
    *hidden, (weights, bias) = layers
    for each, offset in hidden:
        rows = np.maximum(rows @ each + offset, 0.0)
    return np.asarray(rows @ weights + bias)
