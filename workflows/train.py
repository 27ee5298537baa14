"""Train a segmentation anew: label maps and a TOML file in, a network and its card out."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainnet import io
from brainnet.io import DataError
from brainnet.workflows.train_card import TASK, Run, brain_card
from brainnet.workflows.train_config import load_label_maps, load_training

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric

    from brainnet.models.core.recipe import Recipe
    from brainnet.models.voxel.labels import LabelTable
    from brainnet.workflows.train_config import Settings

__all__ = [
    "Hardware",
    "Job",
    "Run",
    "brain_card",
    "command",
    "recipe_text",
    "train_brain",
    "train_network",
]

TASKS = (TASK, "haemorrhage")
_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
_RECORD, _TABLE, _MODEL, _BOARD = "training.json", "training.tsv", "model", "tensorboard"


def train_brain(
    config: Path | str,
    out_dir: Path | str,
    *,
    accelerator: str = "auto",
    devices: int = 1,
    precision: str | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> Path:
    """Train a network on images synthesised from label maps, and write it with its card.

    A run that was killed goes on where its last state was saved (every two minutes): on the CPU,
    on as many threads, to the same network, byte for byte.

    Parameters
    ----------
    config : path
        A TOML file as :func:`recipe_text` gives one.
    out_dir : path
        Holds the training's record, state, table of losses and TensorBoard log, and in the end
        the network in ``model``.
    accelerator : {"auto", "cpu", "gpu"}
    devices : int
        Processes, each on a device of its own. With more than one, the calling script is run
        again by each of the others.
    precision : {"32-true", "bf16-mixed", "16-mixed"}, optional
        Instead of the recipe's.
    threads : int, optional
        Of a process; torch's choice by default.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    pathlib.Path
        ``out_dir/model``.

    Raises
    ------
    brainnet.io.DataError
        As :func:`~brainnet.workflows.train_config.load_training` and ``load_label_maps``; the
        model to start from is damaged, or a held-out label map trained it; ``out_dir`` holds
        another training, or a state that is damaged.
    ValueError
        A device, a precision, a network, an option of it or a contrast that there is not; a field
        of view that the network cannot halve; a model to start from that does not fit it.
    FloatingPointError
        The loss did not stay finite.
    """
    from brainnet.models.voxel.labels import load_labels
    from brainnet.models.voxel.synthesis import HeadSynthesis

    training = load_training(config)
    table = load_labels(training.labels)
    maps = load_label_maps(training, table)
    settings = training.synthesis

    def samples(device: "torch.device") -> HeadSynthesis:
        return HeadSynthesis(
            maps,
            table,
            shapes=settings.shapes,
            voxel_size=settings.voxel_size,
            scanner=training.scanner,
            contrasts=settings.contrasts,
            seed=training.recipe.seed,
            device=device,
        )

    job = Job(training, table, settings.n_an_epoch, settings.balance, samples, brain_card)
    hardware = Hardware(accelerator, devices, precision, threads, progress)
    return train_network(job, out_dir, hardware)


@dataclass(frozen=True)
class Job:
    """What the training of one task is.

    Parameters
    ----------
    training : Settings
        What it was told.
    table : LabelTable
    n_an_epoch : int
        Images.
    balance : float
        How far small structures weigh more at the start.
    samples : callable
        Makes what it trains on, on a device.
    card : callable
        As :func:`brain_card`.
    loss : callable, optional
        Makes, of the samples, what is lowered; by default the settings' terms.
    """

    training: "Settings"
    table: "LabelTable"
    n_an_epoch: int
    balance: float
    samples: "Callable[[torch.device], Any]"
    card: Callable[..., dict[str, Any]]
    loss: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Hardware:
    """What a training runs on, as :func:`train_brain` takes it."""

    accelerator: str = "auto"
    devices: int = 1
    precision: str | None = None
    threads: int | None = None
    progress: bool = True


def train_network(job: Job, out_dir: Path | str, hardware: Hardware) -> Path:
    """Train the network of a task, and write it with its card.

    Parameters
    ----------
    job : Job
    out_dir : path
        As in :func:`train_brain`.
    hardware : Hardware

    Returns
    -------
    pathlib.Path
        ``out_dir/model``.

    Raises
    ------
    brainnet.io.DataError
        The model to start from is damaged, or what is held out trained it; ``out_dir`` holds
        another training, or a state that is damaged.
    ValueError, FloatingPointError
        As :func:`train_brain`.
    """
    from brainnet.models.core import fit
    from brainnet.models.core.checkpoint import load_checkpoint, save_checkpoint
    from brainnet.models.core.log import TableLogger
    from brainnet.models.voxel.train import train_segmentation

    training, out_dir = job.training, Path(out_dir)
    if hardware.precision is not None:
        recipe = replace(training.recipe, precision=hardware.precision)  # type: ignore[arg-type]
        training = replace(training, recipe=recipe)
    start = None if training.start is None else load_checkpoint(training.start)[0].state_dict()
    log = TableLogger(out_dir / _TABLE)
    loggers = [log, *_boards(out_dir)]
    fabric = _fabric(training.recipe, hardware.accelerator, hardware.devices, loggers)
    record = training.record() | {"labels": job.table.rows(), "n_devices": fabric.world_size}
    _claim(out_dir, record)
    fabric.launch()
    samples = job.samples(fabric.device)
    with fit.threads(hardware.threads) as n_threads:
        model, history = train_segmentation(
            training.network,
            samples,
            recipe=training.recipe,
            n_an_epoch=job.n_an_epoch,
            balance=job.balance,
            loss=training.loss if job.loss is None else job.loss(samples),
            start=start,
            fabric=fabric,
            folder=out_dir,
            progress=hardware.progress,
        )
    folder = out_dir / _MODEL
    if fabric.is_global_zero:
        import torch

        device = _device_name(fabric)
        run = Run(history, log.seconds, device, fabric.world_size, n_threads)
        card = job.card(record, job.table, run, texts=training.texts)
        save_checkpoint(folder, model, card, dtype=torch.bfloat16)
    return folder


def recipe_text(task: str = TASK) -> str:
    """Return the package's recipe of a task, a TOML file to edit.

    Examples
    --------
    >>> recipe_text().splitlines()[0].split(";")[0]
    '# Brain segmentation at 2 mm: the settings of the network in this package'
    """
    return (resources.files("brainnet.workflows") / "recipes" / f"{task}.toml").read_text("utf-8")


def command(argv: Sequence[str]) -> int:
    """Run ``brainnet train`` with the arguments after it; return the exit status."""
    options = _parser().parse_args(argv)
    if options.print_recipe:
        print(recipe_text(options.task), end="")
        return 0
    if options.config is None or options.out_dir is None:
        _parser().error("CONFIG and OUT are needed; --print-recipe prints a CONFIG to edit")
    train = train_brain
    if options.task == "haemorrhage":
        from brainnet.workflows.train_haemorrhage import train_haemorrhage as train
    try:
        model = train(
            options.config,
            options.out_dir,
            accelerator=options.accelerator,
            devices=options.devices,
            precision=options.precision,
            threads=options.threads,
        )
    except FloatingPointError as error:  # the loss; the command line shows ValueErrors
        raise ValueError(str(error)) from error
    print(f"model: {model}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="brainnet train",
        description="Train a network of this package anew, or from another one on. The same "
        "command again goes on where a run was stopped.",
    )
    parser.add_argument("task", choices=TASKS, help="what the network is for")
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG",
                        help="TOML file: data, network, synthesis, recipe")  # fmt: skip
    parser.add_argument("out_dir", nargs="?", type=Path, metavar="OUT",
                        help="folder for state, log and model")  # fmt: skip
    parser.add_argument("--print-recipe", action="store_true",
                        help="print the package's own CONFIG, and end")  # fmt: skip
    parser.add_argument("--accelerator", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument("--devices", type=_count, default=1, help="how many (default: 1)")
    parser.add_argument("--precision", choices=_PRECISIONS, help="instead of CONFIG's")
    parser.add_argument("--threads", type=_count, help="of a process (default: its processors)")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on; got {text!r}")
    return int(text)


def _fabric(recipe: "Recipe", accelerator: str, devices: int, loggers: list[Any]) -> "Fabric":
    """Return what runs the training, or say which device or precision there is not."""
    from brainnet.models.core.fit import make_fabric

    if accelerator not in ("auto", "cpu", "gpu"):
        raise ValueError(f"accelerator must be auto, cpu or gpu; got {accelerator!r}.")
    try:
        fabric = make_fabric(recipe, accelerator=accelerator, devices=devices, loggers=loggers)
    except ValueError:
        raise
    except Exception as error:  # lightning's own, of no common kind
        raise ValueError(
            f"accelerator {accelerator} with {devices} device(s) must be there; {error} "
            "Use --accelerator cpu, or fewer --devices."
        ) from error
    if recipe.precision == "16-mixed" and fabric.device.type == "cpu":
        raise ValueError("precision 16-mixed needs a GPU; got a CPU. Use bf16-mixed.")
    return fabric


def _boards(out_dir: Path) -> list[Any]:
    """Return a TensorBoard log where TensorBoard is installed."""
    if util.find_spec("tensorboard") is None:
        return []
    from lightning_fabric.loggers.tensorboard import TensorBoardLogger

    return [TensorBoardLogger(out_dir, name=_BOARD, version="")]


def _claim(out_dir: Path, record: dict[str, Any]) -> None:
    """Write down what is trained in a folder; raise where there is a state of something else."""
    path = out_dir / _RECORD
    if not (out_dir / "training.safetensors").exists():
        io.save_json(record, path)
        return
    if not path.exists():
        what, remedy = "a training state without its record", "Train into another folder"
        raise DataError(out_dir, what, remedy)
    changed = _changed(io.load_json(path), record)
    if changed:
        what = f"holds a training of another recipe ({', '.join(changed[:5])} changed)"
        raise DataError(out_dir, what, "Train into another folder, or remove this one")


def _changed(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return where two records differ, such as ``recipe.seed``."""
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += _changed(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(prefix + key)
    return found


def _device_name(fabric: "Fabric") -> str:
    import torch

    if fabric.device.type == "cuda":
        return torch.cuda.get_device_name(fabric.device)
    return f"{fabric.device.type}, {os.cpu_count()} processors"
