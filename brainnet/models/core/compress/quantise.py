"""Eight-bit weights and activations, calibrated on images: an ONNX model a quarter the size.

onnxruntime's static quantisation in QDQ form. Convolutions run in integers; transposed ones and
normalisations have no integer kernel on the CPU and stay as they were, the weights of the former
in 8 bits on disk. torch's own quantised tensors are deprecated and therefore not used.
"""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from torch import Tensor

from brainnet.models.core.compress.onnx import OnnxNetwork, require_onnx

__all__ = ["quantise"]

_INTEGER = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Concat")


def quantise(content: bytes, images: Callable[[], Iterable[Tensor]]) -> bytes:
    """Return an ONNX model with 8-bit weights (per channel) and activations (per tensor).

    The range of each activation is the largest seen in the calibration images, so these must be
    such as the network will meet, but none that it is scored on.

    Parameters
    ----------
    content : bytes
        As :func:`~brainnet.models.core.compress.onnx.export_onnx` gives it.
    images : callable
        Gives the calibration images, ``(n_batch, n_channels, *spatial)`` float tensors. A few
        suffice.

    Raises
    ------
    ValueError
        There is no image, or one is not finite.
    ImportError
        The extra ``compress`` is not installed.

    References
    ----------
    Jacob et al. (2018), Quantization and training of neural networks for efficient
    integer-arithmetic-only inference, CVPR.
    """
    require_onnx()
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    reader = _Reader(images())
    with tempfile.TemporaryDirectory() as folder, _quiet():
        given, prepared, path = (Path(folder) / f"{name}.onnx" for name in "abc")
        given.write_bytes(content)
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            path,
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_INTEGER),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        quantised = path.read_bytes()
    OnnxNetwork(quantised)  # raises where it cannot be run
    return quantised


class _Reader:
    """Hand over calibration images one at a time, as onnxruntime asks for them."""

    def __init__(self, images: Iterable[Tensor]) -> None:
        self._images = iter(images)
        first = next(self._images, None)
        if first is None:
            raise ValueError("images must not be empty: activations are calibrated on them. "
                             "Give one image or more.")  # fmt: skip
        self._images = chain([first], self._images)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next image by the name of the model's input; None at the end."""
        image = next(self._images, None)
        if image is None:
            return None
        if not bool(image.isfinite().all()):
            raise ValueError("images must be finite; one has NaN or infinity. Leave it out.")
        return {"image": image.float().cpu().contiguous().numpy()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep advice that onnxruntime gives through the root logger and as warnings from the user."""
    disabled, handlers = logging.root.manager.disable, list(logging.root.handlers)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        logging.root.handlers[:] = handlers
