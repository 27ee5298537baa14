"""Make a brain segmentation network smaller or faster, and measure what each way of it costs."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from brainnet import __version__, io
from brainnet.io import DataError
from brainnet.workflows.compress_images import Images, make_images

if TYPE_CHECKING:
    from torch import Tensor, nn

    from brainnet.models.core.recipe import Precision

__all__ = ["VARIANTS", "Options", "command", "compress_brain"]

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
_TASK = "brain"
_PACKAGES = ("torch", "monai", "onnx", "onnxruntime", "onnxscript")
#: What a card says of the original that is not true of a variant.
_NOT_ITS_OWN = ("weights_sha256", "scores", "format", "onnx")
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


def compress_brain(
    model: Path | str,
    out_dir: Path | str,
    *,
    options: Options | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Write variants of a brain segmentation network and a table of what each costs.

    Parameters
    ----------
    model : path
        Folder of the network, as ``brainnet train brain`` writes it.
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
        ``out_dir`` is in its folder.
    ValueError
        A variant that this network cannot be made into.
    ImportError
        ONNX is asked for and the extra ``compress`` is not installed.
    """
    from brainnet.models.core.checkpoint import load_checkpoint
    from brainnet.models.core.compress.compare import compare

    model, out_dir, options = Path(model), Path(out_dir), options or Options()
    if model.resolve() in (out_dir.resolve(), *out_dir.resolve().parents):
        raise DataError(out_dir, "lies in the folder of the model", "Give another folder")
    network, card = load_checkpoint(model, task=_TASK)
    if card.get("format") == "onnx":
        what = "holds an ONNX model, and variants are made of torch networks"
        raise DataError(model, what, "Give the network that it came from")
    images = make_images(
        card, label_maps=options.label_maps, shape=options.shape, n_images=options.n_images,
        seed=options.seed,
    )  # fmt: skip
    with _threads(options.n_threads) as n_threads:
        maker = _Maker(network, card, model, images, options, progress)
        folders = {ORIGINAL: model}
        for variant in options.variants:
            folders[variant] = maker.make(variant, out_dir / variant)
        table = compare(
            folders, images.yardstick(), precision=options.precision, n_threads=n_threads
        )
    io.save_table(table, out_dir / "comparison.tsv")
    record = {
        "model": card["weights_sha256"],
        "settings": options.record(),
        "images": images.notes,
        "n_threads": n_threads,
        "versions": _versions(),
        "variants": table.to_dict("records"),
    }
    io.save_json(record, out_dir / "comparison.json")
    return table


def command(argv: Sequence[str]) -> int:
    """Run ``brainnet compress`` with the arguments after it; return the exit status."""
    given = vars(_parser().parse_args(argv))
    model, out_dir = given.pop("model"), given.pop("out_dir")
    given["variants"], given["shape"] = tuple(given["variants"]), tuple(given["shape"])
    try:
        table = compress_brain(model, out_dir, options=Options(**given), progress=True)
    except ImportError as error:
        raise ValueError(str(error)) from error  # which the command line shows as one line
    print(table_text(table))
    print(f"variants and comparison: {out_dir}")
    return 0


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
        from brainnet.models.voxel.losses import SegmentationLoss
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
                self.network, n_exclusive=1 + table.n_structures, task_loss=SegmentationLoss(table)
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
        small = [min(each, 32) for each in self.options.shape]
        return torch.rand(
            (1, n_channels, *small), generator=torch.Generator().manual_seed(self.options.seed)
        )

    def _share(self) -> dict[str, Any]:
        return {"share_taken_out": self.options.share}

    def _card(self, variant: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the original's card with what the variant is and what it came from."""
        kept = {key: value for key, value in self.card.items() if key not in _NOT_ITS_OWN}
        how = {
            "variant": variant,
            "method": VARIANTS[variant],
            "from_weights_sha256": self.card["weights_sha256"],
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
        "0.01 Dice lower, and the\nsame label in 95 % of voxels. ONNX needs pip install "
        "'brainnet[compress]'.",
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


@contextmanager
def _threads(n_threads: int | None) -> Iterator[int]:
    """Let torch use so many threads, and afterwards as many as before."""
    import torch

    before = torch.get_num_threads()
    if n_threads is not None and n_threads < 1:
        raise ValueError(f"n_threads must be 1 or more; got {n_threads}.")
    torch.set_num_threads(n_threads or before)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def _versions() -> dict[str, str]:
    found = {"brainnet": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
