"""Train the network of haemorrhages in head CT: label maps, scans of patients, or both."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainnet.io import DataError
from brainnet.workflows.train import Hardware, Job, train_network
from brainnet.workflows.train_card import Run, brain_card
from brainnet.workflows.train_config import load_label_maps
from brainnet.workflows.train_haemorrhage_config import (
    HaemorrhageTraining,
    load_haemorrhage_training,
)
from brainnet.workflows.train_judgement import judge

if TYPE_CHECKING:
    import torch

    from brainnet.models.voxel.haemorrhage.mixed import MixedSamples
    from brainnet.models.voxel.haemorrhage.scans import PatientScans
    from brainnet.models.voxel.haemorrhage.synthesis import HaemorrhageSynthesis
    from brainnet.models.voxel.labels import LabelTable

__all__ = ["haemorrhage_card", "train_haemorrhage"]

_SIMULATED = "trained on simulation; no scan of a patient was seen"


def train_haemorrhage(
    config: Path | str,
    out_dir: Path | str,
    *,
    accelerator: str = "auto",
    devices: int = 1,
    precision: str | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> Path:
    """Train a network to find haemorrhages in head CT, and write it with its card.

    It learns from head CTs synthesised from label maps, from scans of patients with masks (of
    every kind of haemorrhage, of some, or of unknown kind), from tables that say what slices
    show, or from all of these mixed. A run that was killed goes on as in
    :func:`~brainnet.workflows.train.train_brain`.

    Parameters
    ----------
    config : path
        A TOML file as ``recipe_text("haemorrhage")`` gives one.
    out_dir : path
        As in ``train_brain``, as all that follow.
    accelerator : {"auto", "cpu", "gpu"}
    devices : int
    precision : {"32-true", "bf16-mixed", "16-mixed"}, optional
    threads : int, optional
    progress : bool

    Returns
    -------
    pathlib.Path
        ``out_dir/model``.

    Raises
    ------
    brainnet.io.DataError
        As :func:`~brainnet.workflows.train_haemorrhage_config.load_haemorrhage_training` and
        :func:`~brainnet.models.voxel.haemorrhage.scans.prepare_scan`; a label map that is no
        whole head; what is held out trained the model to start from; ``out_dir`` holds another
        training.
    ValueError, FloatingPointError
        As ``train_brain``.
    """
    from brainnet.models.voxel.haemorrhage.bleeds import BLEEDS
    from brainnet.models.voxel.haemorrhage.mixed import MixedLoss, MixedSamples
    from brainnet.models.voxel.labels import load_labels
    from brainnet.models.voxel.losses import SegmentationLoss

    training = load_haemorrhage_training(config)
    table, settings = load_labels(training.labels), training.synthesis
    painted = {f"{kind} haemorrhage" for kind in BLEEDS} | {"perihaematomal oedema"}
    maps = load_label_maps(training, table, painted=painted)
    patients = _patients(training, table)

    made = _synthesis(training, table, maps) if maps else None

    def samples(_: "torch.device") -> "HaemorrhageSynthesis | MixedSamples":
        if patients is None or training.scans is None:
            assert made is not None
            return made
        share, seed = training.scans.share, training.recipe.seed
        return MixedSamples(patients, made, share=share, seed=seed)

    def loss(made: "MixedSamples") -> MixedLoss:
        whole = SegmentationLoss(table, shares=made.shares(), terms=training.loss)
        return MixedLoss(whole, table, voxel_size=settings.voxel_size)

    job = Job(
        training, table, settings.n_an_epoch, settings.balance, samples, haemorrhage_card,
        None if patients is None else loss,
    )  # fmt: skip
    hardware = Hardware(accelerator, devices, precision, threads, progress)
    folder = train_network(job, out_dir, hardware)
    if made is not None and settings.n_judged and int(os.environ.get("LOCAL_RANK", "0")) == 0:
        judge(folder, made, n_scans=settings.n_judged, progress=progress)
    return folder


def haemorrhage_card(
    record: Mapping[str, Any],
    table: "LabelTable",
    run: Run,
    *,
    texts: Mapping[str, str],
    scores: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the model card of a network of haemorrhages, as JSON holds it.

    Of scans of patients it tells how many there were and the hashes of their files, no name.

    Parameters
    ----------
    record : mapping
        :meth:`~brainnet.workflows.train_haemorrhage_config.HaemorrhageTraining.record`.
    table, run, texts, scores
        As in :func:`~brainnet.workflows.train_card.brain_card`.
    """
    card = brain_card(record, table, run, texts=texts, scores=scores)
    card["task"] = "haemorrhage"
    card["input"] |= {"modality": "CT", "brightness": "of Hounsfield units"}
    card["training"]["patients"] = record["patients"]
    card["training"]["images"] = _SIMULATED if _simulated(record) else _seen(record["scans"])
    if record["scans"] is not None:
        card["data"]["scans"] = _told(record["scans"])
    return card


def _simulated(record: Mapping[str, Any]) -> bool:
    """Say whether a network saw no scan, nor did any that it started from, by their cards."""
    model = record["start"]
    while model:
        training = model.get("training") or {}
        before = training.get("start") or training.get("from")
        said = "no scan" in str(training.get("images", "")) or training.get("from")
        if (model.get("data") or {}).get("scans") or not said:
            return False
        model = before
    return record["scans"] is None


def _seen(scans: Mapping[str, Any] | None) -> str:
    if scans is None:
        return "synthesised from the label maps; the network it started from may have seen scans"
    n_scans, share = len(scans["images"]), scans["share"]
    return f"{n_scans} scans of patients, {share:.0%} of the samples where others are synthesised"


def _told(scans: Mapping[str, Any]) -> dict[str, Any]:
    hashes = {name: sorted(scans[name].values()) for name in ("images", "held_out")}
    told = {name: scans[name] for name in ("layout", "share", "meanings", "labels_of_slices")}
    numbers = {"n_scans": len(scans["images"]), "n_masks": len(scans["masks"])}
    return told | numbers | {"sha256": hashes["images"], "held_out": hashes["held_out"]}


def _patients(training: HaemorrhageTraining, table: "LabelTable") -> "PatientScans | None":
    """Return the scans that train, each read and checked."""
    from brainnet.models.voxel.haemorrhage.scans import PatientScans, prepare_scan

    if training.scans is None:
        return None
    dataset, size = training.scans.dataset, training.synthesis.voxel_size
    scans = [prepare_scan(each, dataset, table, voxel_size=size) for each in dataset.cases]
    shapes, seed = training.synthesis.shapes, training.recipe.seed
    return PatientScans(scans, table, shapes=shapes, seed=seed)


def _synthesis(
    training: HaemorrhageTraining, table: "LabelTable", maps: list[Any]
) -> "HaemorrhageSynthesis":
    """Return what is synthesised; name the label map that is no whole head."""
    from brainnet.models.voxel.haemorrhage.anatomy import anatomy_of
    from brainnet.models.voxel.haemorrhage.synthesis import HaemorrhageSynthesis

    settings = training.synthesis
    try:
        return HaemorrhageSynthesis(
            maps,
            table,
            shapes=settings.shapes,
            voxel_size=settings.voxel_size,
            patients=training.patients,
            scanner=training.scanner,
            seed=training.recipe.seed,
        )
    except ValueError as error:
        for path, each in zip(training.label_maps, maps, strict=True):
            try:
                anatomy_of(each)
            except ValueError as found:
                raise DataError(path, str(found), "Take it out of the folder") from error
        raise
