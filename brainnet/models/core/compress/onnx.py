"""A trained network as ONNX: one file for any runtime, and a network that runs it here."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from brainnet.io import DataError, save_bytes, save_json
from brainnet.models.core._demand import measure
from brainnet.models.core.checkpoint import (
    CARD,
    card_text,
    check_card,
    load_card,
    load_content,
)

__all__ = ["MODEL", "PARITY", "OnnxNetwork", "export_onnx", "load_onnx", "needs", "save_onnx"]

MODEL = "model.onnx"
MAX_MODEL_BYTES = (1 << 31) - 1  # of one protobuf
#: Largest difference of outputs, in standard deviations of the output, between torch and ONNX.
PARITY = 1e-3

_OPSET = 18
_REQUIRED = {"task": str, "model_sha256": str, "onnx": dict}
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def export_onnx(model: nn.Module, example: Tensor, *, other: Tensor | None = None) -> bytes:
    """Return a network as an ONNX model, after checking that it gives what torch gives.

    Parameters
    ----------
    model : torch.nn.Module
        Takes one tensor and returns one. On the CPU, float32; left in evaluation mode.
    example : (n_batch, n_channels, *spatial) float32 tensor
        An input of a shape that the network takes. Batch and spatial axes are free in the ONNX
        model as far as they are in the network; make them larger than 1 and twice the network's
        multiple at least, or they are taken for constants.
    other : tensor, optional
        An input of another shape to check; twice the example along every spatial axis by
        default.

    Returns
    -------
    bytes
        The model, opset 18: input ``image``, output ``logits``.

    Raises
    ------
    ValueError
        The network has an operator that ONNX has not, or its ONNX model gives other numbers
        (beyond `PARITY`).
    ImportError
        The extra ``compress`` is not installed.

    Notes
    -----
    What tells about the machine it was made on (paths of source files) is taken out.
    """
    require_onnx()
    model = model.eval()
    free = {axis: Dim.AUTO for axis in range(example.ndim) if axis != 1}
    doubled = example.repeat(1, 1, *[2] * (example.ndim - 2)) if other is None else other
    try:
        with _quiet():
            program: Any = torch.onnx.export(
                model,
                (torch.cat([example, example]),),  # an axis of length 1 would be a constant
                dynamo=True,
                dynamic_shapes=(free,),
                input_names=["image"],
                output_names=["logits"],
                opset_version=_OPSET,
                verbose=False,
            )
    except Exception as error:
        reason = (str(error).split("## Exception summary")[-1].strip() or repr(error)).split("\n")
        raise ValueError(
            f"model must be made of operators that ONNX has; got {type(model).__name__}: "
            f"{reason[0][:300]}. Compress it without ONNX (bf16, pruned, student)."
        ) from error
    content = _stripped(program.model_proto)
    for each in (example, doubled):
        check_parity(model, OnnxNetwork(content), each)
    return content


def check_parity(model: nn.Module, exported: nn.Module, image: Tensor) -> float:
    """Return the largest difference of two networks, in standard deviations of the output.

    Raises
    ------
    ValueError
        It is beyond `PARITY`, or the second network refuses the image.
    """
    with torch.inference_mode():
        wanted, found = model(image), exported(image)
    shift = float((wanted - found).abs().max() / wanted.std().clamp(min=1e-12))
    if not shift <= PARITY:
        raise ValueError(
            f"the ONNX model must give what torch gives, to {PARITY:g} of its spread; got {shift:g}"
            f" for shape {tuple(image.shape)}. Do not use it: keep the torch network."
        )
    return shift


class OnnxNetwork(nn.Module):
    """An ONNX model that is called as a torch network is.

    It has no weights that torch knows of and runs on the CPU alone, on as many threads as torch
    was given when it was made.

    Parameters
    ----------
    content : bytes
        One input, one output.
    multiple : sequence of int, optional
        Images are padded with zeros at their ends to a multiple of it, and the output is cropped.
    bytes_a_voxel : float
        What a pass takes, so that :func:`~brainnet.models.core.predict.predict`, which watches
        torch's memory, knows of it.

    Raises
    ------
    ValueError
        onnxruntime cannot run it.
    """

    def __init__(
        self, content: bytes, *, multiple: Sequence[int] = (), bytes_a_voxel: float = 0.0
    ) -> None:
        super().__init__()
        require_onnx()
        import onnxruntime

        self.multiple, self.bytes_a_voxel = tuple(multiple), bytes_a_voxel

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.enable_mem_pattern = False  # a plan of all memory ahead: nothing faster, and more
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            reason = str(error).split("\n")[0][:300]
            raise ValueError(f"content must be a model that onnxruntime runs; {reason}.") from error
        self._input = self._session.get_inputs()[0].name

    def forward(self, image: Tensor) -> Tensor:
        """Return the output for an image, float32 on the CPU."""
        shape = image.shape[2:]
        short = [-n % m for n, m in zip(shape, self.multiple, strict=False)]
        padded = nn.functional.pad(
            image.detach().float().cpu(), [each for n in reversed(short) for each in (0, n)]
        ).contiguous()
        # never touched, so never taken: it shows torch what onnxruntime takes meanwhile
        shown = torch.empty(int(self.bytes_a_voxel * padded[:, 0].numel()), dtype=torch.uint8)
        try:
            logits = torch.from_numpy(self._session.run(None, {self._input: padded.numpy()})[0])
        except Exception as error:
            reason = str(error).split("\n")[0][:300]
            raise ValueError(
                f"image must have a shape that the model takes; got {tuple(image.shape)} "
                f"({reason}). Pad it to the multiple that the network needs."
            ) from error
        finally:
            del shown
        inside: tuple[Any, ...] = (..., *(slice(0, n) for n in shape))
        return logits[inside] if any(short) else logits


def needs(model: nn.Module, example: Tensor) -> dict[str, Any]:
    """Return what `OnnxNetwork` has to know of a torch network: its multiple and its memory.

    Parameters
    ----------
    model : torch.nn.Module
        Gives an output of its input's spatial shape.
    example : tensor
        An input that it takes.
    """
    with torch.inference_mode():
        demand = measure(
            model.eval(),
            lambda logits: logits,
            example.shape[1],
            n_axes=example.ndim - 2,
            window=tuple(example.shape[2:]),
            device=example.device,
        )
    return {"multiple": list(demand.multiple), "bytes_a_voxel": demand.forward}


def save_onnx(folder: Path | str, content: bytes, card: Mapping[str, Any]) -> Path:
    """Write an ONNX model and its card into a folder, each with the other's mark; return it.

    Parameters
    ----------
    folder : path
        Made where it is missing.
    content : bytes
        As `export_onnx` gives it.
    card : mapping
        As for :func:`~brainnet.models.core.checkpoint.save_checkpoint`; ``onnx`` may hold what
        `needs` gives.
    """
    require_onnx()
    import onnx

    folder = Path(folder)
    text = card_text({"onnx": {}, **card, "format": "onnx"})
    model = onnx.load_model_from_string(content)
    onnx.helper.set_model_props(model, {"card": text})
    marked = model.SerializeToString(deterministic=True)
    save_bytes(marked, folder / MODEL)
    digest = hashlib.sha256(marked).hexdigest()
    save_json(json.loads(text) | {"model_sha256": digest}, folder / CARD)
    return folder


def load_onnx(
    folder: Path | str, *, task: str | None = None
) -> tuple["OnnxNetwork", dict[str, Any]]:
    """Return a network that `save_onnx` wrote, and its card.

    Raises
    ------
    DataError
        A file missing, damaged or changed, a network of another task, or a model that onnxruntime
        cannot run; the extra ``compress`` is not installed.
    """
    folder = Path(folder)
    try:
        require_onnx()
    except ImportError as error:
        what = "holds an ONNX model, and what runs it is not installed"
        raise DataError(folder, what, "pip install 'brainnet[compress]'") from error
    card, content = _checked(folder, task)
    try:
        return OnnxNetwork(content, **card["onnx"]).eval(), card
    except (ValueError, TypeError) as error:
        remedy = "Update onnxruntime, or use the torch network"
        raise DataError(folder / MODEL, f"not a model to run ({error})", remedy) from error


def require_onnx() -> None:
    """Raise an ImportError that says what to install, where a package of the extra is missing."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"ONNX needs {', '.join(missing)}. Install the extra: pip install 'brainnet[compress]'."
        )


def _checked(folder: Path, task: str | None) -> tuple[dict[str, Any], bytes]:
    """Return the card and the model after holding each against the other."""
    import onnx

    card = load_card(folder, _REQUIRED, task=task)
    content = load_content(folder / MODEL, card["model_sha256"], limit=MAX_MODEL_BYTES)
    try:
        properties = onnx.load_model_from_string(content).metadata_props
    except Exception as error:
        what, remedy = f"not an ONNX model ({error})", "Copy the model anew from where it came"
        raise DataError(folder / MODEL, what, remedy) from error
    check_card(folder, card, {each.key: each.value for each in properties}.get("card"))
    return card, content


def _stripped(model: Any) -> bytes:
    """Return a model's bytes without the notes on how and where it was made."""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        value.doc_string = ""
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    content: bytes = model.SerializeToString(deterministic=True)
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch's exporter says of itself from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
