"""What a trained network says of itself: its model card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from brainnet import __version__
from brainnet.workflows.engine.step import version_of

if TYPE_CHECKING:
    from brainnet.models.core.state import History
    from brainnet.models.voxel.labels import LabelTable

__all__ = ["TASK", "Run", "brain_card"]

TASK = "brain"
_PACKAGES = ("torch", "monai", "lightning-fabric")


@dataclass(frozen=True)
class Run:
    """What a training ran on and what came of it, for the model card.

    Parameters
    ----------
    history : History
        Losses by epoch.
    seconds : float
        How long it took, over all runs.
    device : str
        Such as ``cpu``.
    n_devices, n_threads : int
    """

    history: "History"
    seconds: float
    device: str = "cpu"
    n_devices: int = 1
    n_threads: int = 1


def brain_card(
    record: Mapping[str, Any],
    table: "LabelTable",
    run: Run,
    *,
    texts: Mapping[str, str],
    scores: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the model card of a brain segmentation network, as JSON holds it.

    Parameters
    ----------
    record : mapping
        What it was told: :meth:`~brainnet.workflows.train_config.Training.record`, taken before
        the training.
    table : LabelTable
        Labels that it tells apart; the card holds the whole table.
    run : Run
        What it ran on and what came of it.
    texts : mapping
        What the card says in words, as a
        :class:`~brainnet.workflows.train_config.Training` holds it.
    scores : mapping, optional
        How well it does, and on what.

    Returns
    -------
    dict
        As :func:`brainnet.models.core.checkpoint.save_checkpoint` takes it.
    """
    network, synthesis = record["network"], record["synthesis"]
    options = network["options"] | {"out_channels": table.n_channels}
    n_an_epoch = synthesis["n_an_epoch"] // run.n_devices * run.n_devices
    return {
        "task": TASK,
        "intended_use": texts.get("intended_use", ""),
        "not_for": texts.get("not_for", ""),
        "licence": texts.get("licence", ""),
        "network": {"name": network["name"], "options": options},
        "labels": table.rows(),
        "voxel_size": synthesis["voxel_size"],
        "input": {"orientation": "RAS", "unit": "mm", "range": [0, 1], "n_channels": 1},
        "data": {
            "source": texts.get("source", ""),
            "licence": texts.get("data_licence", ""),
            "label_maps": record["label_maps"],
            "held_out": record["held_out"],
        },
        "training": {
            "images": "synthesised from the label maps; no scan was seen",
            "n_images": len(run.history.train_loss) * n_an_epoch,
            "synthesis": synthesis,
            "scanner": record["scanner"],
            "loss": record["loss"],
            "recipe": record["recipe"],
            "start": record["start"],
            "final_loss": run.history.train_loss[-1],
            "seconds": run.seconds,
            "device": run.device,
            "n_devices": run.n_devices,
            "n_threads": run.n_threads,
        },
        "scores": dict(scores or {}),
        "versions": {"brainnet": __version__} | {each: version_of(each) for each in _PACKAGES},
    }
