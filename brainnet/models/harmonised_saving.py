"""A harmonised graph network on disk: what was learned of the sites goes with the weights."""

from collections.abc import Hashable, Mapping, Sequence
from operator import index
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from brainnet.io import DataError
from brainnet.models.core.checkpoint import CARD, save_checkpoint
from brainnet.models.graph.estimator import TASK, GraphClassifier
from brainnet.models.graph.saving import HARMONISED, loaded
from brainnet.models.harmonised import Harmonised, Harmoniser
from brainnet.stats.harmonise import ComBat

__all__ = ["harmoniser_card", "harmoniser_of", "load_harmonised", "policy", "save_harmonised"]

_OPTIONS = ("site", "keep", "adjust", "prior", "small", "unseen", "min_unseen")
_Model = TypeVar("_Model", bound=Harmonised)


def policy(card: Mapping[str, Any]) -> str:
    """Return in words what becomes of subjects of a site that training did not have.

    Parameters
    ----------
    card : mapping
        Of a saved model; nothing is said where it is not of harmonised subjects.

    Examples
    --------
    >>> print(policy({"harmonised": {"unseen": "fail", "site": "site"}}))
    Site effects are taken out as learned in training; a participant of another site is not staged.
    >>> policy({})
    ''
    """
    if HARMONISED not in card:
        return ""
    own = card[HARMONISED]
    said = {
        "fail": "a participant of another site is not staged",
        "as_is": "what another site adds is left in, and its stages may be wrong for it",
        "estimate": "what another site adds is estimated from its participants that are given "
        f"together, {own.get('min_unseen')} or more, so that the stage of one depends on who the "
        "others are",
    }[own["unseen"]]
    return f"Site effects are taken out as learned in training; {said}."


def harmoniser_card(harmoniser: Harmoniser) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return what a card says of a fitted harmoniser, and its arrays by name.

    Tables of the same subjects have the same sites and covariates: those stand there once.
    """
    modalities, regions, measures, graph_measures = harmoniser.names_
    groups: list[dict[str, Any]] = []
    tables: list[dict[str, Any]] = []
    arrays: dict[str, Tensor] = {}
    for number, (key, combat) in enumerate(harmoniser.combats_.items()):
        known, own = combat.learned()
        if known not in groups:
            groups.append(known)
        tables.append({"table": list(key), "group": groups.index(known)})  # type: ignore[call-overload]
        arrays |= {
            f"{HARMONISED}/{number}/{name}": torch.from_numpy(np.ascontiguousarray(each))
            for name, each in own.items()
        }
    card = {name: getattr(harmoniser, name) for name in _OPTIONS} | {
        "keep": list(harmoniser.keep),
        "min_unseen": index(harmoniser.min_unseen),
        "modalities": list(modalities),
        "regions": list(regions),
        "measures": list(measures),
        "graph_measures": list(graph_measures),
        "fisher": harmoniser.fisher_.tolist(),
        "groups": groups,
        "tables": tables,
    }
    return card, arrays


def harmoniser_of(card: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> Harmoniser:
    """Return the fitted harmoniser of what `harmoniser_card` gave.

    Raises
    ------
    KeyError, TypeError, ValueError
        If something is missing, or does not fit the rest.
    """
    options = {name: card[name] for name in _OPTIONS} | {"keep": tuple(card["keep"])}
    found = Harmoniser(**options)
    names = ("modalities", "regions", "measures", "graph_measures")
    found.names_ = tuple(tuple(card[name]) for name in names)
    found.fisher_ = np.array(card["fisher"], dtype=bool)
    if found.fisher_.shape != (len(card["modalities"]),):
        raise ValueError("fisher must say yes or no of each modality")
    combat = ComBat(**{name: options[name] for name in _OPTIONS[2:]})
    combats: dict[Hashable, ComBat] = {}
    for number, each in enumerate(card["tables"]):
        start = f"{HARMONISED}/{number}/"
        own = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
        combats[tuple(each["table"])] = clone(combat).take(card["groups"][each["group"]], own)
    found.combats_ = combats
    return found


def save_harmonised(
    model: Harmonised,
    folder: Path | str,
    *,
    modalities: Sequence[str] = (),
    regions: Sequence[str] = (),
    scores: Mapping[str, Any] | None = None,
) -> Path:
    """Write a fitted harmonised graph network; :meth:`Harmonised.save` is this."""
    check_is_fitted(model, "estimator_")
    network = model.estimator_
    if not isinstance(network, GraphClassifier):
        raise ValueError(
            "estimator must be a graph network to be saved; got Harmonised of "
            f"{type(network).__name__}. Choose one of brainnet.models.graph."
        )
    names = dict(zip(("modalities", "regions"), model.harmoniser_.names_[:2], strict=True))
    for name, given in (("modalities", modalities), ("regions", regions)):
        if given and tuple(given) != names[name]:
            size = len(names[name])
            raise ValueError(
                f"{name} must be {size} names, those of training; got {len(given)}, "
                f"{', '.join(given[:3])}. Leave them out."
            )
    card, arrays = network.on_disk()
    own, more = harmoniser_card(model.harmoniser_)
    named = {name: list(each) for name, each in names.items()}
    card |= named | {"scores": dict(scores or {}), HARMONISED: own}
    return save_checkpoint(folder, network.model_, card, arrays=arrays | more)


def load_harmonised(folder: Path | str, kind: type[_Model]) -> _Model:
    """Return a harmonised graph network that was saved; :meth:`Harmonised.load` is this."""

    def made(network: nn.Module, card: dict[str, Any], arrays: Mapping[str, NDArray]) -> _Model:
        if HARMONISED not in card:
            raise DataError(
                Path(folder) / CARD,
                "is of a model of subjects that are not harmonised",
                "Load it with brainnet.models.saved.load_stager or GraphClassifier.load",
            )
        harmoniser = harmoniser_of(card[HARMONISED], arrays)
        fitted = GraphClassifier.restored(network, card, arrays)
        model = kind(clone(fitted), **harmoniser.get_params())
        if harmoniser.fisher_.size != fitted.inputs_.sizes["n_modalities"]:
            raise ValueError("the harmoniser does not fit the network")
        model.harmoniser_, model.estimator_, model.classes_ = harmoniser, fitted, fitted.classes_
        return model

    return loaded(folder, TASK, made)
