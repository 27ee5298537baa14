"""A tiny segmentation network and, as its ONNX model takes seconds to make, that model once."""

import pytest
import torch

from brainnet.models.core.fit import fork_seed
from brainnet.models.core.networks import build_network

TINY = {
    "name": "DynUNet",
    "options": {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 3,
        "filters": [4, 6, 8],
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "norm_name": "instance",
    },
}


def build(network, seed=0):
    """Return a network with weights that a seed decides."""
    with fork_seed(seed):
        return build_network(network["name"], network["options"]).eval()


@pytest.fixture
def tiny():
    """The network's description, and the network."""
    return TINY, build(TINY)


@pytest.fixture(scope="session")
def exported():
    """The same network as ONNX."""
    pytest.importorskip("onnxruntime", reason="the extra compress is not installed")
    from brainnet.models.core.compress.onnx import export_onnx

    return export_onnx(build(TINY), noise((1, 1, 8, 8, 16)))


def noise(shape, seed=0):
    """Return uniform noise in [0, 1)."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))
