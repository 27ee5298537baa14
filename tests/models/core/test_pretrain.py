"""Pre-training of volumes: what is hidden, what is learned, and that it helps."""

import pytest
import torch
from torch import nn

from brainnet.models.core.fit import fit, fork_seed
from brainnet.models.core.networks import build_network
from brainnet.models.core.pretrain import (
    Crops,
    HideBlocks,
    HideEdges,
    MaskedLoss,
    pretrain_volumes,
    start_from,
)
from brainnet.models.core.recipe import Recipe
from brainnet.models.voxel.degrade import smooth_noise

_UNET = {
    "name": "UNet",
    "options": {
        "spatial_dims": 3, "in_channels": 1, "out_channels": 1, "channels": [8, 16, 24],
        "strides": [2, 2], "num_res_units": 1,
    },
}  # fmt: skip
_SHAPE = (16, 16, 16)


def test_whole_blocks_are_hidden_behind_the_mean_and_the_rest_is_noisy():
    with fork_seed(0):
        image = torch.rand(3, 2, 16, 12, 10)
        seen, hidden = HideBlocks(size=4, share=0.5, noise=0.1)(image)
    means = image.mean(dim=(2, 3, 4), keepdim=True).expand_as(image)
    assert torch.equal(seen[hidden], means[hidden])
    assert (seen - image)[~hidden].std().item() == pytest.approx(0.1, rel=0.1)
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    blocks = hidden[:, 0, :, :, :8].unfold(1, 4, 4).unfold(2, 4, 4).unfold(3, 4, 4)
    share = blocks.float().mean(dim=(-3, -2, -1))
    assert set(share.unique().tolist()) == {0.0, 1.0}
    assert 0.3 < share.mean() < 0.7
    assert not torch.equal(hidden[0], hidden[1])


def test_edges_are_hidden_in_both_directions_and_regions_wholly():
    with fork_seed(0):
        networks = torch.randn(200, 2, 10, 10)
        networks = networks + networks.mT
        seen, hidden = HideEdges(edges=0.3, regions=0.0, noise=0.0)(networks)
        _, lost = HideEdges(edges=1e-9, regions=0.2)(networks)
    assert torch.equal(seen, seen.mT)
    assert torch.equal(hidden, hidden.mT)
    assert torch.equal(seen[~hidden], networks[~hidden])
    assert seen[hidden].abs().max() == 0
    assert not hidden.diagonal(dim1=-2, dim2=-1).any()
    assert hidden.float().sum() / (200 * 2 * 90) == pytest.approx(0.3, abs=0.02)
    whole = (lost.sum(dim=-1) == 9).float().mean()
    assert whole == pytest.approx(0.2, abs=0.02)
    assert not torch.equal(hidden[:, 0], hidden[:, 1])


def test_loss_is_the_squared_error_of_what_is_hidden_and_a_share_of_the_rest():
    target = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    hidden = torch.tensor([[True, True, False, False]])
    loss = MaskedLoss(lambda x: (x * 0, hidden), seen_weight=0.5)
    zero = nn.Identity()
    assert loss(zero, target).item() == pytest.approx((1 + 4) / 2 + 0.5 * (9 + 16) / 2)
    assert loss(zero, {"image": target}) == loss(zero, target)
    nothing = MaskedLoss(lambda x: (x * 0, hidden & False), seen_weight=0.0)
    assert nothing(zero, target).item() == 0


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: HideBlocks(share=1.0), "share"),
        (lambda: HideBlocks(size=0), "size"),
        (lambda: HideEdges(edges=0.0), "edges"),
        (lambda: HideEdges(regions=1.0), "regions"),
        (lambda: Crops([], shape=_SHAPE), "images must not be empty"),
        (lambda: Crops([torch.zeros(1, 16, 16, 15)], shape=_SHAPE), r"\(1, 16, 16, 15\).*Pad"),
        (lambda: Crops([torch.zeros(16, 16, 16)], shape=_SHAPE), "n_channels, nx, ny, nz"),
    ],
)
def test_what_cannot_be_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_crops_come_from_everywhere_of_every_image():
    images = [torch.arange(6.0 * 4 * 5).reshape(1, 6, 4, 5) + 1000 * i for i in range(3)]
    crops = Crops(images, shape=(4, 4, 4), n_batches=2, batch_size=40)
    with fork_seed(0):
        batch = crops[0]
    assert batch.shape == (40, 1, 4, 4, 4)
    assert set((batch[:, 0, 0, 0, 0] // 1000).int().tolist()) == {0, 1, 2}
    corners = {int(each.min()) % 1000 for each in batch}
    assert corners == {20 * x + z for x in range(3) for z in range(2)}
    with pytest.raises(IndexError):
        crops[2]


def test_start_takes_what_fits_and_nothing_else():
    with fork_seed(0):
        first, second = (build_network("UNet", _UNET["options"]) for _ in range(2))
        other = build_network("UNet", _UNET["options"] | {"out_channels": 5})
    fresh = {name: each.clone() for name, each in other.state_dict().items()}
    taken = start_from(other, first.state_dict())
    assert 0 < len(taken) < len(fresh)
    for name, each in other.state_dict().items():
        source = first.state_dict() if name in taken else fresh
        assert torch.equal(each, source[name])
    with pytest.raises(ValueError, match=r"none of 2 .*options of the task"):
        start_from(second, nn.Linear(2, 2).state_dict())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("UNet", _UNET["options"]),
        ("SegResNet", {"spatial_dims": 3, "init_filters": 8}),  # one channel by default
        ("SegResNet", {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "init_filters": 8}),
        (
            "DynUNet",
            {
                "spatial_dims": 3, "in_channels": 1, "out_channels": 3, "filters": [4, 8, 8],
                "kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2],
            },
        ),
    ],
)  # fmt: skip
def test_networks_of_the_list_start_all_but_their_output_from_it(name, options):
    recipe = Recipe(n_epochs=1, learning_rate=1e-3)
    crops = Crops([torch.rand(1, 16, 16, 16)], shape=_SHAPE, n_batches=1)
    network = {"name": name, "options": options}
    model, history = pretrain_volumes(network, lambda epoch: crops, recipe=recipe)
    assert len(history.train_loss) == 1
    with fork_seed(1):
        task = build_network(name, options)
    taken = start_from(task, model.state_dict())
    left = [key for key in task.state_dict() if key not in taken]
    assert len(left) <= 2  # weight and bias of the output
    for key in taken:
        assert torch.equal(task.state_dict()[key], model.state_dict()[key])


def _scene(seed):
    """A smooth shape, brighter than what is around it, under heavy noise; and the shape."""
    made = torch.Generator().manual_seed(seed)
    shape = (smooth_noise(_SHAPE, (4, 4, 4), made) > 0.2).float()
    return 0.3 + 0.4 * shape + 0.4 * torch.randn(_SHAPE, generator=made), shape


def _stack(seeds):
    scenes = [_scene(each) for each in seeds]
    return tuple(torch.stack(each)[:, None] for each in zip(*scenes, strict=True))


@pytest.fixture(scope="module")
def pretrained():
    """A network that has filled in 200 noisy scenes without labels."""
    crops = Crops(_stack(range(200))[0], shape=_SHAPE, n_batches=25, batch_size=4)
    recipe = Recipe(n_epochs=12, learning_rate=3e-3, schedule="cosine", warmup=0.05)
    hide = HideBlocks(size=2, share=0.5)
    return pretrain_volumes(_UNET, lambda epoch: crops, recipe=recipe, hide=hide)[0]


def test_fills_in_new_volumes_better_than_their_mean(pretrained):
    images, shapes = _stack(range(1000, 1020))
    with fork_seed(0), torch.no_grad():
        seen, hidden = HideBlocks(size=2, share=0.5)(images)
        found = pretrained(seen)
    clean = 0.3 + 0.4 * shapes
    means = images.mean(dim=(2, 3, 4), keepdim=True).expand_as(images)
    error, of_mean = ((each - clean)[hidden].square().mean() for each in (found, means))
    assert error < 0.85 * of_mean


def test_one_labelled_volume_and_many_without_beat_the_one_alone(pretrained):
    images, shapes = _stack(range(1000, 1020))
    one = [_stack([500])]

    def loss(model, pair):
        return nn.functional.binary_cross_entropy_with_logits(model(pair[0]), pair[1])

    def dice(start):
        with fork_seed(0):
            model = build_network("UNet", _UNET["options"])
        if start is not None:
            start_from(model, start)
        fit(model, lambda epoch: one, loss, recipe=Recipe(n_epochs=30, learning_rate=3e-3))
        with torch.no_grad():
            found = model(images) > 0
        return (2 * (found & (shapes > 0)).sum() / (found.sum() + shapes.sum())).item()

    assert dice(pretrained.state_dict()) > dice(None) + 0.04
