"""Does a map depend on what the model learned? Maps of spoiled models must look different."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from brainnet.cohort.subjects import as_subjects
from brainnet.explain.agreement import rank_correlation
from brainnet.explain.folds import Fold, fit_one, with_seed
from brainnet.explain.scores import is_graph

__all__ = ["Sanity", "check_sanity", "randomised_layers"]

Floats = NDArray[np.float64]

_FALLS = 0.5  # of what two honest trainings agree by: a spoiled model has to stay below
_LEAST = 0.2  # agreement of honest trainings below which nothing can fall


@dataclass(frozen=True, eq=False)
class Sanity:
    """How alike the maps of a model and of spoiled ones are.

    Attributes
    ----------
    table : DataFrame
        ``test`` (``seed``: another honest training; ``labels``: trained on permuted stages;
        ``weights``: layers randomised from the output down), ``step`` (which layer was added, or
        the number of the training) and ``similarity`` (Spearman, of absolute values).
    passed : bool or None
        None where two honest trainings do not agree well enough to tell.
    verdict : str
        In words.
    """

    table: pd.DataFrame
    passed: bool | None
    verdict: str


def check_sanity(
    fold: Fold,
    networks: Any,
    stages: ArrayLike,
    explain: Callable[[Any], ArrayLike],
    *,
    n_permutations: int = 2,
    n_steps: int = 4,
    seed: int = 0,
) -> Sanity:
    """Compare the map of a fitted graph classifier with those of spoiled ones.

    A map that stays the same when the stages are permuted before training, or when the weights
    are permuted, shows the subjects and not the model.

    Parameters
    ----------
    fold : Fold
        Of a graph classifier.
    networks : Subjects or (n_subjects, n_modalities, n_regions, n_regions) array
        All subjects, of which the fold names rows.
    stages : (n_subjects,) array
    explain : callable
        ``explain(estimator)`` gives the map, ``(n_modalities, n_regions)``.
    n_permutations : int
        Trainings on permuted stages, and honest ones with other seeds to compare with.
    n_steps : int
        Depths at which the weights are randomised, the last of them all.
    seed : int

    Returns
    -------
    Sanity

    Raises
    ------
    ValueError
        The estimator is not a graph classifier.

    References
    ----------
    Adebayo et al. (2018), Sanity checks for saliency maps, NeurIPS.
    """
    if not is_graph(fold.estimator):
        raise ValueError(
            "estimator must be a GraphClassifier for its weights to be randomised; got "
            f"{type(fold.estimator).__name__}."
        )
    subjects, labels = as_subjects(networks), np.asarray(stages)
    training, known = subjects[fold.train], labels[fold.train]
    original = _flat(explain(fold.estimator))
    rng = np.random.default_rng(seed)
    rows: list[tuple[str, str, float]] = []

    def add(test: str, step: str, estimator: Any) -> None:
        rows.append((test, step, _alike(original, _flat(explain(estimator)))))

    for number in range(1, n_permutations + 1):
        fresh = with_seed(fold.estimator, seed + 1000 + number)
        add("seed", str(number), fit_one(fresh, training, known))
        fresh = with_seed(fold.estimator, seed + 2000 + number)
        add("labels", str(number), fit_one(fresh, training, rng.permutation(known)))
    for name, estimator in randomised_layers(fold.estimator, n_steps=n_steps, seed=seed):
        add("weights", name, estimator)
    return _judged(pd.DataFrame(rows, columns=["test", "step", "similarity"]))


def randomised_layers(estimator: Any, *, n_steps: int, seed: int) -> Iterator[tuple[str, Any]]:
    """Yield the estimator with more and more of its layers' weights permuted, output first.

    Permuting keeps the distribution of a layer's weights and takes what it learned. The estimator
    itself stays as it was, and so does torch's generator.

    Parameters
    ----------
    estimator : GraphClassifier
        Fitted; or a pipeline that ends in one.
    n_steps : int
        As many copies at most; the last one has all layers permuted.
    seed : int

    Yields
    ------
    (str, estimator)
        The name of the last layer permuted, and a copy.
    """
    spoiled = copy.deepcopy(estimator)
    model = (spoiled.steps[-1][1] if hasattr(spoiled, "steps") else spoiled).model_
    layers = [
        (name, module)
        for name, module in model.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    ][::-1]
    stops = set(np.unique(np.linspace(0, len(layers), n_steps + 1).round().astype(int)[1:]))
    generator = torch.Generator().manual_seed(seed)
    for number, (name, layer) in enumerate(layers, start=1):
        _permute(layer, generator)
        if number in stops:
            yield name or type(layer).__name__, copy.deepcopy(spoiled)


def _permute(layer: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for weight in layer.parameters(recurse=False):
            order = torch.randperm(weight.numel(), generator=generator)
            weight.copy_(weight.flatten()[order].reshape(weight.shape))


def _flat(values: ArrayLike) -> Floats:
    return np.abs(np.asarray(values, dtype=np.float64)).ravel()


def _alike(one: Floats, other: Floats) -> float:
    return rank_correlation(np.stack([one, other]))


def _judged(table: pd.DataFrame) -> Sanity:
    """Say whether the similarity falls, in words."""
    mean = table[table["test"] != "weights"].groupby("test")["similarity"].mean()
    honest, labels = float(mean["seed"]), float(mean["labels"])
    weights = float(table.loc[table["test"] == "weights", "similarity"].iloc[-1])
    if honest < _LEAST:
        return Sanity(table, None, (
            f"Cannot tell: the maps of two honest trainings agree by {honest:.2f} only (rank "
            "correlation), so there is little that could fall. Average over more seeds."
        ))  # fmt: skip
    stayed = [
        f"{what} ({value:.2f})"
        for what, value in (("permuted stages", labels), ("permuted weights", weights))
        if value > _FALLS * honest
    ]
    if stayed:
        return Sanity(table, False, (
            f"Fails: with {' and with '.join(stayed)} the map is almost what it was (two honest "
            f"trainings: {honest:.2f}). It shows how the subjects differ more than what this model "
            "learned; do not read it as what the model uses."
        ))  # fmt: skip
    return Sanity(table, True, (
        f"Passes: two honest trainings agree by {honest:.2f} (rank correlation), trainings on "
        f"permuted stages by {labels:.2f}, permuted weights leave {weights:.2f}."
    ))  # fmt: skip
