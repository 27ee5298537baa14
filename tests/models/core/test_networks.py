"""Networks by name, and the layout of volumes."""

import copy

import pytest
import torch

from brainnet.models.core.fit import fork_seed
from brainnet.models.core.networks import NETWORKS, build_network, channels_last

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


@pytest.fixture
def two():
    """A network with affine norms away from 0 and 1, and the same channels last."""
    options = OPTIONS["DynUNet"] | {"norm_name": ["instance", {"affine": True}]}
    with fork_seed(0):
        model = build_network("DynUNet", options)
        for each in model.parameters():
            each.data += 0.1 * torch.randn_like(each)
    return model, channels_last(copy.deepcopy(model))


@pytest.mark.parametrize("n_images", [1, 2])
@pytest.mark.parametrize("training", [True, False])
def test_channels_last_changes_no_output_and_no_gradient(two, n_images, training):
    image = torch.rand((n_images, 1, 8, 8, 8), generator=torch.Generator().manual_seed(1))
    outputs, gradients = [], []
    for model in two:
        model.train(training).zero_grad()
        outputs.append(model(image))
        outputs[-1].square().mean().backward()
        gradients.append({name: each.grad for name, each in model.named_parameters()})
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)
    assert gradients[0].keys() == gradients[1].keys()
    for name, wanted in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], wanted, rtol=1e-3, atol=1e-5)


def test_channels_last_keeps_names_and_lets_one_image_stay_in_its_layout(two):
    plain, model = two
    states = [each.state_dict() for each in two]
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(each, states[1][name]) for name, each in states[0].items())
    layout = torch.channels_last_3d
    assert all(
        each.is_contiguous(memory_format=layout) for each in model.parameters() if each.ndim == 5
    )
    norms = [
        [each for each in network.modules() if isinstance(each, torch.nn.InstanceNorm3d)]
        for network in (plain, model)
    ]
    image = torch.rand(1, norms[1][0].num_features, 4, 4, 4).contiguous(memory_format=layout)
    assert [each[0].train()(image).is_contiguous(memory_format=layout) for each in norms] == [
        False,
        True,
    ]


def test_channels_last_can_be_copied_and_exported(two):
    model, image = copy.deepcopy(two[1]).eval(), torch.rand(2, 1, 8, 8, 8)
    program = torch.export.export(model, (image,))
    torch.testing.assert_close(program.module()(image), two[0].eval()(image), rtol=1e-4, atol=1e-5)
    assert any("instance_norm" in node.name for node in program.graph.nodes)


def test_channels_last_leaves_what_is_no_volume():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.InstanceNorm2d(2))
    assert channels_last(model) is model
    assert type(model[1]) is torch.nn.InstanceNorm2d
    counts = torch.nn.InstanceNorm3d(2, track_running_stats=True)
    assert type(channels_last(counts)) is torch.nn.InstanceNorm3d
