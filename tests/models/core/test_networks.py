"""Networks by name."""

import pytest
import torch

from brainnet.models.core.fit import fork_seed
from brainnet.models.core.networks import NETWORKS, build_network

IMAGE = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3}
OPTIONS = {
    "AutoEncoder": IMAGE | {"channels": [4, 8], "strides": [2, 2]},
    "DynUNet": IMAGE
    | {
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": [4, 8, 8],
    },
    "SegResNet": IMAGE | {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
    "UNet": IMAGE | {"channels": [4, 8], "strides": [2]},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_gives_an_image_of_the_channels_asked_for(name):
    with fork_seed(0):
        model = build_network(name, OPTIONS[name]).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 1, 16, 16, 16)).shape == (1, 3, 16, 16, 16)


def test_every_name_is_a_network_that_there_is():
    from importlib import import_module

    for place in NETWORKS.values():
        module, attribute = place.split(":")
        assert issubclass(getattr(import_module(module), attribute), torch.nn.Module)


def test_weights_come_from_the_seed():
    def weights(seed):
        with fork_seed(seed):
            return next(build_network("UNet", OPTIONS["UNet"]).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("name", ["os:system", "monai.networks.nets:UNet", "", "unet"])
def test_a_card_can_name_these_networks_only(name):
    with pytest.raises(ValueError, match=r"network must be one of .*UNet.*; got"):
        build_network(name, {})


@pytest.mark.parametrize(
    "change",
    [
        {"filter": 4},
        {"channels": [4]},
        {"spatial_dims": 5},
        {"channels": [-4, 8]},
    ],
)
def test_says_when_options_do_not_fit(change):
    with pytest.raises(ValueError, match="options of UNet must fit it"):
        build_network("UNet", OPTIONS["UNet"] | change)
