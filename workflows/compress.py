"""Make a segmentation network smaller or faster, and measure what each way of it costs."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from brainnet import __version__, io
from brainnet.io import DataError
from brainnet.io.files import warn
from brainnet.models.core.compress import LARGEST_LOSS, LEAST_AGREEMENT
from brainnet.workflows.compress_images import Images, make_images
from brainnet.workflows.engine.step import version_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from brainnet.models.core.recipe import Precision

__all__ = ["VARIANTS", "Options", "command", "compress_network"]

#: What each variant is, in words for the card and the help.
VARIANTS: Mapping[str, str] = {
    "bf16": "the same network, weights in 16 bits on disk",
    "onnx": "ONNX in float32, for any runtime",
    "int8": "ONNX with 8-bit weights and activations",
    "sparse": "the smallest weights set to 0: smaller only once the file is packed, not faster",
    "pruned": "the least useful channels taken out, the rest trained to follow the original",
    "student": "a narrower network trained from its beginning to follow the original",
}
ORIGINAL = "original"
#: What the networks do.
TASKS = ("brain", "haemorrhage")
_PACKAGES = ("torch", "monai", "onnx", "onnxruntime", "onnxscript")
#: What of the original's card tells a variant's descent ...
_LINEAGE = ("weights_sha256", "training", "compressed")
#: ... and what else in it is not true of the variant.
_NOT_ITS_OWN = ("scores", "format", "onnx")
#: Why one variant may fail and not the others: an operator, an extra, memory, a loss.
_FAILURES = (ValueError, ImportError, RuntimeError, MemoryError, ArithmeticError)
_LEARNING_RATES = {"pruned": 1e-3, "student": 2e-3}


@dataclass(frozen=True)
class Options:
    """How variants are made and measured.

    Parameters
    ----------
    variants : tuple of str
        Of `VARIANTS`.
    label_maps : Path, optional
        As in :func:`~brainnet.workflows.compress_images.make_images`.
    shape : tuple of int
        Field of view of the images, voxels; multiples of 16.
    n_images : int
        Images that score, and that calibrate.
    n_steps : int
        Images that a pruned network and a student learn from.
    share : float
        Of weights, or of the channels of each layer, that are taken out; in (0, 1).
    precision : {"bf16-mixed", "32-true"}
        In which torch networks are run and trained.
    n_threads : int, optional
        torch's choice by default.
    seed : int
    """

    variants: tuple[str, ...] = tuple(VARIANTS)
    label_maps: Path | None = None
    shape: tuple[int, int, int] = (80, 96, 80)
    n_images: int = 4
    n_steps: int = 200
    share: float = 0.5
    precision: "Precision" = "bf16-mixed"
    n_threads: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [each for each in self.variants if each not in VARIANTS]
        if unknown or not self.variants:
            raise ValueError(
                f"variants must be of {', '.join(VARIANTS)}; got {', '.join(unknown) or 'none'}."
            )
        for name in ("n_images", "n_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more; got {getattr(self, name)}.")
        if not 0 < self.share < 1:
            raise ValueError(f"share must be between 0 and 1, neither of them; got {self.share}.")
        if len(self.shape) != 3 or any(each < 16 or each % 16 for each in self.shape):
            raise ValueError(f"shape must be three multiples of 16; got {self.shape}.")

    def record(self) -> dict[str, Any]:
        """Return the settings as JSON holds them; label maps stand elsewhere, by hash."""
        return {k: v for k, v in asdict(self).items() if k not in ("label_maps", "n_threads")}


def compress_network(
    model: Path | str,
    out_dir: Path | str,
    *,
    options: Options | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Write variants of a segmentation network and a table of what each costs.

    A variant that this network cannot be made into is left out of the table; why stands in
    ``comparison.json``.

    Parameters
    ----------
    model : path
        Folder of a network of `TASKS`, as ``brainnet train`` writes it.
    out_dir : path
        Holds a folder a variant, each a model by itself, and ``comparison.tsv`` and ``.json``.
    options : Options, optional
    progress : bool
        Whether to say which variant is being made, and to show the bar of training.

    Returns
    -------
    DataFrame
        As :func:`~brainnet.models.core.compress.compare.compare` gives it; the original first.

    Raises
    ------
    brainnet.io.DataError
        The model or a label map is damaged; the model is of another task or ONNX already;
        ``out_dir`` is in its folder, or a variant's folder there is its own.
    ValueError
        None of the variants could be made.

    Warns
    -----
    brainnet.io.DataWarning
        A variant could not be made (for ONNX, the extra ``compress`` is needed), or not measured.
    """
    from brainnet.models.core.checkpoint import load_checkpoint
    from brainnet.models.core.compress.compare import compare
    from brainnet.models.core.fit import threads

    model, out_dir, options = Path(model), Path(out_dir), options or Options()
    if model.resolve() in (out_dir.resolve(), *out_dir.resolve().parents):
        raise DataError(out_dir, "lies in the folder of the model", "Give another folder")
    if model.resolve() in [(out_dir / variant).resolve() for variant in VARIANTS]:
        raise DataError(out_dir, f"holds the model, as {model.name}", "Give another folder")
    network, card = load_checkpoint(model)
    if card["task"] not in TASKS:
        what = f"was trained for {card['task']!r}, and variants are scored for {', '.join(TASKS)}"
        raise DataError(model, what, "Give another network")
    if card.get("format") == "onnx":
        what = "holds an ONNX model, and variants are made of torch networks"
        raise DataError(model, what, "Give the network that it came from")
    images = make_images(
        card, label_maps=options.label_maps, shape=options.shape, n_images=options.n_images,
        seed=options.seed,
    )  # fmt: skip
    with threads(options.n_threads) as n_threads:
        maker = _Maker(network, card, model, images, options, progress)
        folders, not_made = maker.make_all(out_dir)
        table = compare(
            {ORIGINAL: model, **folders},
            images.yardstick(),
            precision=options.precision,
            n_threads=n_threads,
        )
    io.save_table(table, out_dir / "comparison.tsv")
    record = {
        "model": card["weights_sha256"],
        "settings": options.record(),
        "images": images.notes,
        "n_threads": n_threads,
        "versions": _versions(),
        "variants": table.astype(object).where(table.notna(), None).to_dict("records"),
        "not_made": not_made,
    }
    io.save_json(record, out_dir / "comparison.json")
    return table


def command(argv: Sequence[str]) -> int:
    """Run ``brainnet compress`` with the arguments after it; return the exit status.

    It is 0 where every variant was made, else 1.
    """
    given = vars(_parser().parse_args(argv))
    model, out_dir = given.pop("model"), given.pop("out_dir")
    given["variants"], given["shape"] = tuple(given["variants"]), tuple(given["shape"])
    table = compress_network(model, out_dir, options=Options(**given), progress=True)
    print(table_text(table))
    print(f"variants and comparison: {out_dir}")
    return 0 if {*given["variants"]} <= {*table["variant"]} else 1


def table_text(table: pd.DataFrame) -> str:
    """Return the comparison as it is printed."""
    columns = {
        "variant": "variant",
        "size_mb": "MB",
        "size_gzip_mb": "MB packed",
        "latency_s": "seconds",
        "peak_memory_mb": "peak MB",
        "score": "Dice",
        "score_change": "change",
        "max_difference": "largest diff.",
        "agreement": "same label",
        "passed": "parity",
    }
    shown = table[list(columns)].rename(columns=columns)
    shown["parity"] = shown["parity"].map({True: "yes", False: "NO"})
    digits = {"peak MB": 0, "MB": 2, "MB packed": 2, "change": 4, "Dice": 4}
    formats = {name: f"{{:.{digits.get(name, 3)}f}}".format for name in shown.columns[1:-1]}
    return shown.to_string(index=False, formatters=formats)


class _Maker:
    """Make variants of one network."""

    def __init__(
        self,
        network: "nn.Module",
        card: Mapping[str, Any],
        folder: Path,
        images: Images,
        options: Options,
        progress: bool,
    ) -> None:
        from brainnet.models.core.checkpoint import load_arrays

        self.network, self.card, self.images = network, card, images
        self.options, self.progress = options, progress
        self._arrays = load_arrays(folder, card)

    def make_all(self, out_dir: Path) -> tuple[dict[str, Path], dict[str, str]]:
        """Return the folders of the variants that could be made, and why the others could not."""
        folders: dict[str, Path] = {}
        not_made: dict[str, str] = {}
        for variant in self.options.variants:
            try:
                folders[variant] = self.make(variant, out_dir / variant)
            except _FAILURES as error:
                why = not_made[variant] = str(error) or repr(error)
                warn(out_dir / variant, f"not made: {why.rstrip('.')}", "It is left out")
        if not folders:
            reasons = "; ".join(f"{variant}: {why}" for variant, why in not_made.items())
            raise ValueError(f"variants must be such as the network can become; got {reasons}")
        return folders, not_made

    def make(self, variant: str, folder: Path) -> Path:
        """Write a variant into a folder, and return the folder."""
        if self.progress:
            print(f"{variant}: {VARIANTS[variant]}", file=sys.stderr)
        if variant in ("onnx", "int8"):
            return self._save_onnx(variant, folder)
        return self._save(variant, folder)

    def _save(self, variant: str, folder: Path) -> Path:
        import torch

        from brainnet.models.core.checkpoint import save_checkpoint
        from brainnet.models.core.compress.prune import count_weights, prune_weights

        network, built, settings = self.network, self.card["network"], {}
        if variant == "sparse":
            network, settings = prune_weights(network, self.options.share), self._share()
        elif variant in _LEARNING_RATES:
            network, built, settings = self._taught(variant)
        settings |= {"n_weights": count_weights(network)}
        card = self._card(variant, settings) | {"network": dict(built)}
        return save_checkpoint(folder, network, card, dtype=torch.bfloat16, arrays=self._arrays)

    def _save_onnx(self, variant: str, folder: Path) -> Path:
        from brainnet.models.core.compress.onnx import needs, save_onnx
        from brainnet.models.core.compress.quantise import quantise

        content, settings = self._exported, {}
        if variant == "int8":
            content = quantise(content, self.images.calibration)
            settings = {"calibrated_on": self.images.notes | {"seed": self.options.seed}}
        card = self._card(variant, settings) | {"onnx": needs(self.network, self._example)}
        return save_onnx(folder, content, card)

    def _taught(self, variant: str) -> tuple["nn.Module", dict[str, Any], dict[str, Any]]:
        """Return a narrower network that learned from the original, what builds it, and how."""
        from brainnet.models.core.compress.distil import Distillation, distil
        from brainnet.models.core.compress.prune import narrow, prune_channels
        from brainnet.models.core.fit import fork_seed
        from brainnet.models.core.networks import build_network
        from brainnet.models.core.recipe import Recipe
        from brainnet.models.voxel.losses import LossTerms, SegmentationLoss
        from brainnet.models.voxel.train import Epoch

        table, share, n_steps = self.images.table, self.options.share, self.options.n_steps
        if variant == "pruned":
            network, built = prune_channels(
                self.network, self.card["network"], share=share, example=self._example
            )
        else:
            built = narrow(self.card["network"], 1 - share)
            with fork_seed(self.options.seed):
                network = build_network(built["name"], built["options"])
        n_epochs = min(10, n_steps)
        recipe = Recipe(
            n_epochs=n_epochs,
            learning_rate=_LEARNING_RATES[variant],
            schedule="cosine",
            warmup=0.05,
            clip=5.0,
            precision=self.options.precision,
            seed=self.options.seed,
        )
        history = distil(
            Distillation(
                self.network,
                n_exclusive=1 + table.n_structures,
                task_loss=SegmentationLoss(table, terms=LossTerms.of(self.card)),
            ),
            network,
            lambda epoch: Epoch(self.images.learning, epoch, n_steps // n_epochs),
            recipe=recipe,
            progress=self.progress,
        )
        how = {"recipe": recipe.record(), "images": self.images.notes,
               "n_steps": n_steps // n_epochs * n_epochs,
               "final_loss": history.train_loss[-1]}  # fmt: skip
        return network, built, self._share() | {"taught": how}

    @cached_property
    def _exported(self) -> bytes:
        from brainnet.models.core.compress.onnx import export_onnx

        return export_onnx(self.network, self._example)

    @cached_property
    def _example(self) -> "Tensor":
        import torch

        n_channels = self.card["network"]["options"].get("in_channels", 1)
        return torch.rand(
            (1, n_channels, 32, 32, 32),
            generator=torch.Generator().manual_seed(self.options.seed),
        )

    def _share(self) -> dict[str, Any]:
        return {"share_taken_out": self.options.share}

    def _card(self, variant: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the original's card with what the variant is and what it came from."""
        gone = (*_LINEAGE, *_NOT_ITS_OWN)
        kept = {key: value for key, value in self.card.items() if key not in gone}
        how = {
            "variant": variant,
            "method": VARIANTS[variant],
            "from": {key: self.card[key] for key in _LINEAGE if key in self.card},
            **settings,
            "versions": _versions(),
        }
        return kept | {"compressed": how}


def _parser() -> argparse.ArgumentParser:
    plain = Options()
    lines = "\n".join(f"  {name:8} {words}" for name, words in VARIANTS.items())
    parser = argparse.ArgumentParser(
        prog="brainnet compress",
        description="Make variants of a network and measure size, latency, memory and score of "
        "each beside the original.",
        epilog=f"variants:\n{lines}\n\nEach is a model by itself: brainnet segment brain IMG OUT "
        "--model OUT/int8\n'parity' says whether a variant may stand in for the original: at most "
        f"{LARGEST_LOSS:g} Dice lower, and the\nsame label in {LEAST_AGREEMENT:.0%} of the voxels "
        "that either calls something. ONNX needs\npip install 'brainnet[compress]'.\n\n"
        "exit status: 0 all went well; 1 a variant could not be made; 2 nothing could be run.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="folder of the network")
    add("out_dir", type=Path, metavar="OUT", help="folder for the variants")
    add("--variants", nargs="+", choices=tuple(VARIANTS), default=plain.variants, metavar="NAME",
        help="which to make (default: all)")  # fmt: skip
    add("--label-maps", type=Path, metavar="FOLDER",
        help="label maps to synthesise images from; those that the model's card calls held out "
        "score, the others teach (default: a simple head made of ellipsoids)")  # fmt: skip
    add("--shape", type=int, nargs=3, default=plain.shape, metavar="N",
        help="field of view in voxels, multiples of 16 (default: 80 96 80)")  # fmt: skip
    add("--n-images", type=int, default=plain.n_images, metavar="N",
        help="images that score and that calibrate (default: %(default)s)")  # fmt: skip
    add("--n-steps", type=int, default=plain.n_steps, metavar="N",
        help="images that pruned and student learn from (default: %(default)s: enough to "
        "see what they cost, not to score like the original)")  # fmt: skip
    add("--share", type=float, default=plain.share, metavar="SHARE",
        help="of weights or channels that are taken out (default: %(default)s)")  # fmt: skip
    add("--precision", choices=("bf16-mixed", "32-true"), default=plain.precision,
        help="of torch networks (default: %(default)s)")  # fmt: skip
    add("--threads", type=int, dest="n_threads", metavar="N", help="default: torch's choice")
    add("--seed", type=int, default=plain.seed, metavar="N")
    return parser


def _versions() -> dict[str, str]:
    return {"brainnet": __version__} | {each: version_of(each) for each in _PACKAGES}
