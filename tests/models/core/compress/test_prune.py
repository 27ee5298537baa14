"""Pruning: what is known to be useless goes first, and nothing changes."""

import pytest
import torch
from torch import nn

from brainnet.models.core.compress.prune import (
    count_weights,
    narrow,
    prune_channels,
    prune_weights,
)
from brainnet.models.core.fit import fork_seed
from brainnet.models.core.networks import build_network

_COMMON = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3}
_LEVELS = {"kernel_size": [3] * 3, "strides": [1, 2, 2], "upsample_kernel_size": [2, 2]}
NETWORKS = {
    "DynUNet": {"filters": [4, 6, 8], "norm_name": "instance", **_LEVELS},
    "DynUNet, residual": {"filters": [4, 6, 8], "norm_name": "batch", "res_block": True, **_LEVELS},
    "UNet": {"channels": [4, 6, 8], "strides": [2, 2]},
    "UNet, residual": {"channels": [4, 6], "strides": [2], "num_res_units": 2, "norm": "batch"},
    "AutoEncoder": {"channels": [4, 6], "strides": [2, 2]},
}


def _build(key, seed=0):
    network = {"name": key.split(",")[0], "options": _COMMON | NETWORKS[key]}
    with fork_seed(seed):
        return build_network(network["name"], network["options"]).eval(), network


def _image(seed=0):
    return torch.randn((2, 1, 16, 16, 16), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("key", NETWORKS)
def test_channels_that_nothing_reads_go_and_the_output_stays(key):
    """A wide network in which a narrow one is hidden, its channels scattered among useless ones."""
    wide, network = _build(key)
    _silence_half(wide)
    with torch.inference_mode():
        wanted = wide(_image())
    pruned, smaller = prune_channels(wide, network, share=0.5, example=_image())
    with torch.inference_mode():
        found = pruned(_image())
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert count_weights(pruned) < 0.5 * count_weights(wide)
    build_network(smaller["name"], smaller["options"]).load_state_dict(pruned.state_dict())


def _silence_half(model):
    """Let no convolution read the odd channels of any other one."""
    seen = set()
    for layer in model.modules():
        if not isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d)) or id(layer) in seen:
            continue
        seen.add(id(layer))
        axis = 0 if isinstance(layer, nn.ConvTranspose3d) else 1
        with torch.no_grad():
            weight = layer.weight.transpose(0, axis)
            if len(weight) > 2:  # of concatenated channels both halves are even in number
                weight[1::2] = 0


def test_takes_the_channel_that_is_worth_least():
    network = {"name": "UNet", "options": _COMMON | {"channels": [4, 6], "strides": [2]}}
    model, _ = build_network(network["name"], network["options"]).eval(), None
    reader = [each for each in model.modules() if isinstance(each, nn.Conv3d)][1]
    with torch.no_grad():
        reader.weight[:, 2] *= 100
    pruned, _ = prune_channels(model, network, share=0.7, example=_image())  # one of four is left
    first, kept = (next(iter(each.state_dict().values())) for each in (model, pruned))
    assert torch.equal(kept, first[2:3])


def test_what_ties_channels_together_is_refused():
    options = {"spatial_dims": 3, "init_filters": 16, "blocks_down": [1, 1], "blocks_up": [1]}
    model = build_network("SegResNet", options)
    network = {"name": "SegResNet", "options": options}
    with pytest.raises(ValueError, match=r"it has group_norm\. Distil a student"):
        prune_channels(model, network, share=0.5, example=torch.rand(1, 1, 8, 8, 8))


def test_smallest_weights_of_all_layers_are_zero_and_the_model_is_left():
    model, _ = _build("UNet")
    before = {name: each.clone() for name, each in model.state_dict().items()}
    pruned = prune_weights(model, 0.4)
    kept, cut, n_weights = [], [], 0
    for name, weight in pruned.state_dict().items():
        old = before[name]
        if weight.ndim > 1:
            zero = weight == 0
            assert torch.equal(weight[~zero], old[~zero])
            kept.append(old[~zero].abs())
            cut.append(old[zero].abs())
            n_weights += weight.numel()
        else:
            assert torch.equal(weight, old)
    assert torch.cat(cut).max() <= torch.cat(kept).min()
    assert torch.cat(cut).numel() == round(0.4 * n_weights)
    assert pruned.state_dict().keys() == before.keys()
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


@pytest.mark.parametrize("share", [0, 1, -0.2, 1.5, float("nan")])
def test_shares_outside_of_their_range(share):
    model, network = _build("UNet")
    with pytest.raises(ValueError, match="share must be between 0 and 1"):
        prune_weights(model, share)
    with pytest.raises(ValueError, match="share must be between 0 and 1"):
        prune_channels(model, network, share=share, example=_image())


def test_nothing_to_prune_and_no_width_to_change():
    with pytest.raises(ValueError, match="convolutions or linear layers; got Identity"):
        prune_weights(nn.Identity(), 0.5)
    with pytest.raises(ValueError, match="Elsewhere has no option"):
        narrow({"name": "Elsewhere", "options": {}}, 0.5)
