"""What a fitted graph network is on disk: a part of its card, and the arrays to make it again."""

from collections.abc import Callable, Mapping, Sequence
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from brainnet.io import DataError
from brainnet.models.core.checkpoint import CARD, load_arrays, load_checkpoint
from brainnet.models.core.networks import NETWORKS
from brainnet.models.edges import EdgeImputer
from brainnet.models.graph.ensemble import Committee
from brainnet.models.graph.fused import FusedCommittee
from brainnet.models.graph.inputs import GraphInputs

if TYPE_CHECKING:
    from brainnet.models.graph.estimator import GraphClassifier

__all__ = ["HARMONISED", "described", "imputer_of", "loaded", "named", "restore"]

#: Part of a card that says how subjects are harmonised before the network sees them.
HARMONISED = "harmonised"

_SCALES = ("centre", "spread", "feature_centre", "feature_spread", "context_centre",
           "context_spread")  # fmt: skip
_SIZES = ("n_features", "n_modalities", "n_regions", "n_context", "n_outputs")

Card = dict[str, Any]
_Fitted = TypeVar("_Fitted")


def described(classifier: "GraphClassifier") -> tuple[Card, dict[str, Tensor]]:
    """Return the card and the arrays of a fitted classifier: its network, inputs and training.

    Parameters
    ----------
    classifier : GraphClassifier
        Fitted.

    Raises
    ------
    ValueError
        If the network is not one of :data:`~brainnet.models.core.networks.NETWORKS`.
    """
    inputs, history = classifier.inputs_, classifier.history_
    card = {
        "network": _network_card(classifier),
        "inputs": {
            "density": float(classifier.density),
            "features": list(classifier.features),
            "context": list(classifier.context),
        },
        "training": {
            "n_epochs": index(classifier.n_epochs),
            "learning_rate": float(classifier.learning_rate),
            "weight_decay": float(classifier.weight_decay),
            "stop": classifier.stop,
            "n_members": index(classifier.n_members),
            "fuse": bool(classifier.fuse),
            "seed": index(classifier.seed),
            "pretrained": classifier.start is not None,
            "train_loss": history.train_loss,
            "validation_loss": history.validation_loss,
            "best_epoch": history.best_epoch,
        },
    }
    arrays = {name: torch.from_numpy(getattr(inputs, name + "_")) for name in _SCALES}
    arrays["medians"] = torch.from_numpy(inputs.imputer_.medians_)
    return card, arrays


def restore(
    classifier: "GraphClassifier", model: nn.Module, card: Card, arrays: Mapping[str, NDArray]
) -> "GraphClassifier":
    """Give a new classifier all that `described` says of a fitted one, and its network.

    Parameters
    ----------
    classifier : GraphClassifier
        Changed in place; its head is that of the fitted one.
    model : torch.nn.Module
    card : dict
    arrays : mapping of str to array

    Raises
    ------
    KeyError, TypeError, ValueError
        If the card is not one of a graph network.
    """
    own, training = card["inputs"], card["training"]
    options = dict(card["network"]["options"])
    sizes = {name: options.pop(name) for name in _SIZES}
    for name in ("n_members", "n_stages", "n_targets"):
        options.pop(name, None)
    classifier.set_params(
        network=options.pop("network", card["network"]["name"]),
        features=tuple(own["features"]), context=tuple(own["context"]), density=own["density"],
        n_hidden=options.pop("n_hidden"), options=options or None, n_epochs=training["n_epochs"],
        learning_rate=training["learning_rate"], weight_decay=training["weight_decay"],
        stop=training.get("stop", "early"), n_members=training.get("n_members", 1),
        fuse=training.get("fuse", False), seed=training["seed"],
    )  # fmt: skip
    classifier.n_outputs_ = sizes["n_outputs"]
    classifier.inputs_ = GraphInputs(**own)
    classifier.inputs_.imputer_ = imputer_of(arrays["medians"])
    for name in _SCALES:
        setattr(classifier.inputs_, name + "_", arrays[name])
    _check_inputs(classifier.inputs_, sizes)
    classifier.model_, classifier.card_ = model, card
    return classifier


def loaded(
    folder: Path | str,
    task: str,
    make: Callable[[nn.Module, Card, dict[str, NDArray]], _Fitted],
) -> _Fitted:
    """Return what ``make`` makes of a network, its card and its arrays.

    Raises
    ------
    DataError
        If the folder holds no such model, or one that is damaged or was changed.
    """
    folder = Path(folder)
    model, card = load_checkpoint(folder, task=task)
    arrays = {name: each.numpy() for name, each in load_arrays(folder, card).items()}
    try:
        return make(model, card, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        what = f"the card is not that of a model for {task} ({error!r})"
        raise DataError(folder / CARD, what, "Save the model anew") from error


def named(
    classifier: "GraphClassifier", modalities: Sequence[str], regions: Sequence[str]
) -> dict[str, list[str]]:
    """Return the names of the axes for a card, none where they are not known.

    Raises
    ------
    ValueError
        If they are not as many as there are.
    """
    n_modalities, n_regions, _ = classifier.inputs_.centre_.shape
    for name, given, size in (
        ("modalities", modalities, n_modalities), ("regions", regions, n_regions),
    ):  # fmt: skip
        if given and len(given) != size:
            raise ValueError(f"{name} must be {size} names; got {len(given)}. Name them all.")
    return {"modalities": list(modalities), "regions": list(regions)}


def imputer_of(medians: NDArray[np.float64]) -> EdgeImputer:
    """Return an imputer that has learned these medians."""
    imputer = EdgeImputer()
    imputer.medians_ = medians
    return imputer


def _network_card(classifier: "GraphClassifier") -> Card:
    """What makes the network again: its name and options; of a committee, the members' too."""
    model, options = classifier.model_, classifier.network_options()
    if not isinstance(model, (Committee, FusedCommittee)):
        return {"name": _registered(model), "options": options}
    own = {"network": _registered(model.members[0]), "n_members": len(model.members)}
    if isinstance(model, FusedCommittee):
        own |= {"n_stages": len(classifier.classes_), "n_targets": model.n_targets}
    return {"name": type(model).__name__, "options": options | own}


def _registered(model: nn.Module) -> str:
    """Return the name by which a network can be made again."""
    made = f"{type(model).__module__}:{type(model).__qualname__}"
    for name, where in NETWORKS.items():
        if where == made:
            return name
    raise ValueError(f"network must be one of {', '.join(NETWORKS)} to be saved; got {made}.")


def _check_inputs(inputs: GraphInputs, sizes: Mapping[str, int]) -> None:
    """Raise a ValueError where what was learned does not fit the network."""
    n_modalities, n_regions = sizes["n_modalities"], sizes["n_regions"]
    edges = (n_modalities, n_regions, n_regions)
    fits = (
        inputs.imputer_.medians_.shape == inputs.centre_.shape == inputs.spread_.shape == edges
        and inputs.feature_centre_.shape == inputs.feature_spread_.shape
        and inputs.context_centre_.shape == inputs.context_spread_.shape
        and inputs.sizes | {"n_outputs": sizes["n_outputs"]} == dict(sizes)
    )
    if not fits:
        raise ValueError("scales and medians do not fit the network")
