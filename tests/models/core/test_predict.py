"""Networks over images of any size: whole, in windows, flipped, and within a memory."""

import copy
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from brainnet.models.core import predict as module
from brainnet.models.core._demand import Demand, choose_window, measure, starts
from brainnet.models.core.fit import fork_seed
from brainnet.models.core.networks import build_network
from brainnet.models.core.predict import inference, predict, softmax_over_channels

U_NET = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [4, 8, 8],
         "strides": [2, 2]}  # fmt: skip
DYN_UNET = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "kernel_size": [3, 3, 3],
            "strides": [1, [1, 2, 2], [2, 2, 2]], "upsample_kernel_size": [[1, 2, 2], [2, 2, 2]],
            "filters": [4, 8, 8], "norm_name": ["instance", {"affine": True}]}  # fmt: skip
SEG_RES_NET = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "init_filters": 8}
SWIN = {"in_channels": 1, "out_channels": 3, "feature_size": 12}
FLAT = {"spatial_dims": 2, "in_channels": 2, "out_channels": 3, "channels": [4] * 6,
        "strides": [2] * 5, "norm": "batch"}  # fmt: skip


def _image(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _built(name, options):
    with fork_seed(0):
        model = build_network(name, options)
        for each in model.parameters():  # away from 0 and 1, so that affine norms count
            each.data += 0.1 * torch.randn_like(each)
    return model


def _conv(kernel_size=3, n_out=3):
    with fork_seed(0):
        return nn.Conv3d(1, n_out, kernel_size, padding=kernel_size // 2)


def _demand(model, *, n_channels=1, n_axes=3, window=None):
    with inference(model) as network:
        return measure(
            lambda part: network(part),
            lambda logits: softmax_over_channels(logits, ()),
            n_channels,
            n_axes=n_axes,
            window=window,
            device=torch.device("cpu"),
        )


class _Sides(nn.Module):
    """Logits of background, left and right that depend on the place along axis 0 alone."""

    def forward(self, image):
        n = image.shape[2]
        place = torch.linspace(-3, 3, n).reshape(1, 1, n, 1, 1).expand_as(image)
        return torch.cat([torch.zeros_like(place), -place, place], dim=1)


class _Raises(nn.Module):
    """Passes small images on, and fails like an allocator at large ones."""

    def __init__(self, message):
        super().__init__()
        self.message = message

    def forward(self, image):
        if image.shape[-1] > 32:
            raise RuntimeError(self.message)
        return image


# whole volume


def test_whole_volume_is_the_network_and_its_activation():
    model, image = _conv(), _image(2, 1, 10, 13, 9)
    found = predict(model, image, precision="32-true")
    assert found.shape == (2, 3, 10, 13, 9)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, model(image).softmax(dim=1).detach())


def test_one_channel_is_a_sigmoid():
    model, image = _conv(n_out=1), _image(1, 1, 8, 8, 8)
    found = predict(model, image, precision="32-true")
    torch.testing.assert_close(found, model(image).sigmoid().detach())


def test_large_images_are_turned_into_probabilities_slab_by_slab(monkeypatch):
    sizes = []

    def activation(logits, axes):
        sizes.append(logits.shape[2])
        return softmax_over_channels(logits, axes)

    monkeypatch.setattr(module, "SLAB", 600)
    model, image = _conv(), _image(1, 1, 11, 13, 15)
    found = predict(model, image, activation=activation, precision="32-true")
    torch.testing.assert_close(found, model(image).softmax(dim=1).detach())
    assert sizes[1:] == [3, 3, 3, 2]


@pytest.mark.parametrize(
    ("name", "options", "multiple"),
    [
        ("UNet", U_NET, (4, 4, 4)),
        ("DynUNet", DYN_UNET, (2, 4, 4)),
        ("SegResNet", SEG_RES_NET, (8, 8, 8)),
        ("UNet", FLAT, (32, 32)),
        pytest.param("SwinUNETR", SWIN, (32, 32, 32), marks=pytest.mark.slow),
    ],
)
def test_pads_to_the_multiple_of_the_network_and_crops_back(name, options, multiple):
    if name == "SwinUNETR":
        pytest.importorskip("einops")
    model = _built(name, options)
    n_channels, shape = options["in_channels"], (33, 22, 17)[: len(multiple)]
    assert _demand(model, n_channels=n_channels, n_axes=len(multiple)).multiple == multiple
    image = _image(1, n_channels, *shape)
    padded = torch.zeros((1, n_channels, *[-(-n // m) * m for n, m in zip(shape, multiple)]))  # noqa: B905
    inside = tuple(slice(0, n) for n in shape)
    padded[(..., *inside)] = image
    expected = model.eval()(padded).softmax(dim=1)[(..., *inside)].detach()
    found = predict(model, image, precision="32-true")
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("flips", [((),), ((0,),)])
def test_volumes_are_laid_out_channels_last(flips):
    # by their strides: of a single channel contiguous() leaves them, and kernels go by them
    model, strides = _conv(), []
    model.register_forward_pre_hook(lambda _, args: strides.append(args[0].stride()))
    predict(model, _image(1, 1, 8, 9, 10), flips=flips)
    assert strides[-1] == (720, 1, 90, 10, 1)


def test_a_pooled_vector_is_no_level_of_the_network():
    class Squeeze(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.gate = nn.Conv3d(1, 2, 2, stride=2), nn.Conv3d(2, 2, 1)
            self.up = nn.ConvTranspose3d(2, 2, 2, stride=2)

        def forward(self, image):
            low = self.down(image)
            return self.up(low * self.gate(low.mean(dim=(2, 3, 4), keepdim=True)).sigmoid())

    assert _demand(Squeeze()).multiple == (2, 2, 2)


def test_norms_of_the_fast_kernel_are_those_of_the_network():
    model, image = _built("DynUNet", DYN_UNET).eval(), _image(1, 1, 12, 16, 16)
    with inference(model) as network:
        kinds = {type(each).__name__ for each in network.modules()}
        shared = {id(each) for each in network.parameters()}
        found = network(image)
    assert "GroupNorm" in kinds
    assert "InstanceNorm3d" not in kinds
    assert shared == {id(each) for each in model.parameters()}
    torch.testing.assert_close(found, model(image).detach(), atol=1e-4, rtol=1e-4)


def test_running_statistics_are_left_to_their_own_kernel():
    norm = nn.InstanceNorm3d(1, track_running_stats=True)
    norm.running_mean += 3
    image = _image(1, 1, 6, 6, 6)
    with inference(nn.Sequential(norm)) as network:
        torch.testing.assert_close(network(image), norm.eval()(image))


def test_model_and_image_are_left_as_they_were():
    model, image = _built("DynUNet", DYN_UNET), _image(1, 1, 12, 16, 16)
    model.train()
    model.input_block.eval()
    state, kept = copy.deepcopy(model.state_dict()), image.clone()
    found = predict(model, image)
    assert model.training
    assert not model.input_block.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(image, kept)
    assert not any(isinstance(each, nn.GroupNorm) for each in model.modules())
    found += 1  # a tensor like any other, no inference tensor
    (found * model.output_block.conv.conv.bias.sum()).sum().backward()


def test_mode_comes_back_after_an_error():
    model = _conv().train()
    with pytest.raises(ValueError, match="model must accept 2 channels"):
        predict(model, _image(1, 2, 8, 8, 8))
    assert model.training


def test_bfloat16_is_near_float32_and_needs_a_processor_that_has_it(monkeypatch):
    model, image = _built("UNet", U_NET), _image(1, 1, 16, 16, 16)
    exact = predict(model, image, precision="32-true")
    monkeypatch.setattr(module, "_has_bf16", lambda: True)  # slow it may be, but it works
    near = predict(model, image, precision="bf16-mixed")
    assert 0 < (near - exact).abs().max() < 0.05
    monkeypatch.setattr(module, "_has_bf16", lambda: False)
    assert torch.equal(predict(model, image, precision="bf16-mixed"), exact)


# windows


@pytest.mark.parametrize("shape", [(20, 33, 16), (40, 9, 21)])
def test_windows_say_what_the_whole_volume_says_of_each_voxel(shape):
    model, image = _conv(kernel_size=1), _image(2, 1, *shape)
    whole = predict(model, image, precision="32-true")
    found = predict(model, image, window=(16, 16, 16), precision="32-true")
    torch.testing.assert_close(found, whole, atol=1e-6, rtol=1e-5)


def test_windows_agree_with_the_whole_volume_of_a_small_receptive_field():
    model, image = _conv(), _image(1, 1, 40, 40, 20)
    whole = predict(model, image, precision="32-true")
    found = predict(model, image, window=(16, 16, 16), precision="32-true")
    difference = (found - whole).abs()
    # only the outermost voxels of a window miss a neighbour, and they weigh least
    assert difference.max() < 0.01
    faces = np.unique([s + k for s in starts(40, 16, 0.25) for k in (0, 15)])
    inner = [k for k in range(40) if k not in faces]
    faces = np.unique([s + k for s in starts(20, 16, 0.25) for k in (0, 15)])
    deep = [k for k in range(20) if k not in faces]
    assert difference[:, :, inner][:, :, :, inner][..., deep].max() < 1e-6


def test_blend_weighs_by_a_gaussian():
    class Counter(nn.Module):  # says which pass a voxel came from
        n_passes = 0

        def forward(self, image):
            self.n_passes += 1
            return torch.full_like(image, float(self.n_passes))

    model = Counter()
    found = predict(
        model, torch.zeros(1, 1, 12), window=(8,), overlap=0.5, precision="32-true",
        activation=lambda logits, axes: logits - model.n_passes % 2,
    )  # fmt: skip
    first = model.n_passes - 1
    values = torch.tensor([first - first % 2, first + 1 - (first + 1) % 2])
    place = (torch.arange(8) - 3.5) / 8 / 0.125
    bell = torch.exp(-0.5 * place**2).clamp(min=1e-3)
    share = bell[4:] / (bell[4:] + bell[:4])
    expected = torch.cat([torch.ones(4), share, torch.zeros(4)])
    expected = expected * values[0] + (1 - expected) * values[1]
    torch.testing.assert_close(found[0, 0], expected)


def test_windows_cover_an_axis_and_overlap():
    for size, window, overlap in [(128, 80, 0.25), (33, 16, 0.5), (17, 16, 0.0), (16, 16, 0.9)]:
        places = starts(size, window, overlap)
        assert places[0] == 0
        assert places[-1] + window == size
        steps = np.diff(places)
        assert np.all(steps <= np.ceil(window * (1 - overlap)))
        assert np.all(steps > 0)
    assert starts(10, 16, 0.25) == [0]


def test_window_is_rounded_up_and_may_be_larger_than_the_image():
    model = _built("UNet", U_NET).eval()
    shapes = []
    model.register_forward_pre_hook(lambda _, args: shapes.append(tuple(args[0].shape[2:])))
    assert predict(model, _image(1, 1, 9, 20, 20), window=(13, 14, 20)).shape[2:] == (9, 20, 20)
    assert set(shapes[2:]) == {(16, 16, 20)}


def test_network_of_one_size_needs_a_window():
    class Fixed(nn.Module):
        def forward(self, image):
            if image.shape[2:] != (20, 20, 20):
                raise ValueError("20 voxels only")
            return torch.cat([image, -image], dim=1)

    image = _image(1, 1, 30, 12, 20)
    with pytest.raises(ValueError, match=r"20 voxels only.*a window that it accepts"):
        predict(Fixed(), image)
    found = predict(Fixed(), image, window=(20, 20, 20), precision="32-true")
    torch.testing.assert_close(found, torch.cat([image, -image], dim=1).softmax(dim=1))


# flips


def test_flips_are_averaged():
    model, image = _conv(), _image(1, 1, 9, 10, 11)
    flips = ((), (0,), (1, 2))
    passes = []
    for axes in flips:
        places = [2 + axis for axis in axes]
        passes.append(model(image.flip(places)).softmax(dim=1).flip(places))
    found = predict(model, image, flips=flips, precision="32-true")
    torch.testing.assert_close(found, torch.stack(passes).mean(dim=0).detach())


def test_flips_change_nothing_of_a_symmetric_network():
    model, image = _conv(), _image(1, 1, 9, 10, 11)
    weight = model.weight.data
    for axis in (2, 3, 4):
        weight = (weight + weight.flip(axis)) / 2
    model.weight.data = weight
    once = predict(model, image, precision="32-true")
    found = predict(model, image, flips=((), (0,), (1,), (2,), (0, 1, 2)), precision="32-true")
    torch.testing.assert_close(found, once)


def test_sides_are_swapped_by_the_activation():
    def activation(logits, axes):
        found = softmax_over_channels(logits, axes)
        return found[:, [0, 2, 1]] if 0 in axes else found

    image, flips = _image(1, 1, 8, 4, 4), ((), (0,), (0, 1), (2,))
    once = predict(_Sides(), image, precision="32-true")
    assert once[0, 2, -1].min() > 0.9
    found = predict(_Sides(), image, activation=activation, flips=flips, precision="32-true")
    torch.testing.assert_close(found, once)
    blurred = predict(_Sides(), image, flips=((), (0,)), precision="32-true")
    torch.testing.assert_close(blurred[:, 1], blurred[:, 2])  # without: left and right alike


# memory


def test_demand_counts_every_living_tensor():
    layers = nn.Sequential(nn.Conv3d(1, 4, 1), nn.ReLU(), nn.Conv3d(4, 2, 1))
    # a voxel: 4 + 4 floats while ReLU runs; softmax of 2 channels is 2 floats
    demand = _demand(layers)
    assert demand.forward == pytest.approx(32, rel=0.01)
    assert demand.activation == pytest.approx(8, rel=0.01)
    assert (demand.n_channels, demand.multiple) == (2, (1, 1, 1))


def test_largest_window_that_fits_is_taken():
    demand = Demand((16, 16, 16), kept=0.0, forward=1000.0, activation=0.0, n_channels=2)
    shape = (128, 128, 120)

    def chosen(limit):
        return choose_window(demand, shape, overlap=0.25, result=1e8, limit=limit)

    assert chosen(1e10) == (128, 128, 128)
    for limit in (2.5e9, 1e9, 3e8):
        window = chosen(limit)
        assert demand.bytes_for(window) + 1e8 <= limit
        assert all(edge % 16 == 0 for edge in window)
    assert chosen(2.5e9) == (80, 80, 128)  # two windows along an axis need no longer ones
    with pytest.raises(ValueError, match=r"max_memory must be 0\.30 GB or more.*32x32x32"):
        chosen(1e8)


def test_the_limit_that_an_error_names_is_enough():
    model, image = _conv(), _image(1, 1, 48, 48, 48)
    with pytest.raises(ValueError, match="max_memory must be") as caught:
        predict(model, image, max_memory=0.01)
    needed = float(re.search(r"be ([\d.]+) GB", str(caught.value))[1])
    found = predict(model, image, max_memory=needed, precision="32-true")
    assert (found - predict(model, image, precision="32-true")).abs().max() < 0.05
    with pytest.raises(ValueError, match="or more for windows of 48x48x48"):
        predict(model, image, max_memory=0.01, window=(48, 48, 48))


@pytest.mark.parametrize(
    "message",
    ["[enforce fail] . DefaultCPUAllocator: can't allocate memory", "CUDA out of memory. Tried"],
)
def test_an_allocator_that_gives_up_is_one_clear_error(message):
    with pytest.raises(MemoryError, match="max_memory must be less than what is free; got 4 GB"):
        predict(_Raises(message), _image(1, 1, 40, 40, 40))


def test_other_errors_of_a_network_are_its_own():
    with pytest.raises(RuntimeError, match="its own"):
        predict(_Raises("its own"), _image(1, 1, 40, 40, 40))


MEASURED = """
    import resource, sys
    import torch
    from brainnet.models.core.networks import build_network
    from brainnet.models.core.predict import predict

    def resident(key):
        lines = open("/proc/self/status").read().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1])

    torch.set_num_threads(1)
    options = {"spatial_dims": 3, "in_channels": 1, "out_channels": 12, "channels": [16, 32],
               "strides": [2]}
    model, image = build_network("UNet", options), torch.rand(1, 1, 96, 96, 96)
    before = resident("VmRSS")
"""


def _measured(code):
    script = textwrap.dedent(MEASURED) + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_memory_stays_below_the_limit(precision):
    code = f"""
    predict(model, image, max_memory=float("LIMIT"), precision="{precision}")
    print((resident("VmHWM") - before) / 1e9)
    """
    whole, windowed = (float(_measured(code.replace("LIMIT", each))) for each in ("4", "0.25"))
    assert windowed < 0.25
    assert whole < 4
    assert windowed < whole


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_a_machine_without_memory_is_one_clear_error():
    code = """
    limit = resident("VmSize") + 400_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        predict(model, torch.rand(1, 1, 256, 256, 160), max_memory=100.0)
    except MemoryError as error:
        print(error)
    """
    assert "max_memory must be less than what is free; got 100 GB" in _measured(code)


# what users do wrong


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": torch.full((1, 1, 8, 8, 8), torch.nan)}, "finite; got NaN"),
        ({"image": torch.full((1, 1, 8, 8, 8), torch.inf)}, "finite; got NaN or infinity"),
        ({"image": torch.zeros(8, 8)}, r"got \(8, 8\). Add the batch"),
        ({"image": torch.zeros(1, 1, 8, 0, 8)}, "none empty"),
        ({"image": torch.zeros(0, 1, 8, 8, 8)}, "none empty"),
        ({"window": (8, 8)}, "window must be 3 positive edges"),
        ({"window": (8, 0, 8)}, "window must be 3 positive edges"),
        ({"overlap": 1.0}, "overlap must be in"),
        ({"flips": ()}, r"Give \(\(\),\) for none"),
        ({"flips": ((3,),)}, "spatial axes 0 to 2"),
        ({"flips": ((0, 0),)}, "spatial axes 0 to 2"),
        ({"max_memory": 0.0}, "max_memory must be positive"),
        ({"precision": "bf16"}, "precision must be one of"),
        ({"activation": lambda logits, axes: logits.mean(dim=2)}, "activation must"),
        ({"model": nn.Conv3d(1, 2, 3)}, "model must keep the spatial shape"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(options, message):
    chosen = {"model": _conv(), "image": _image(1, 1, 8, 8, 8)} | options
    with pytest.raises(ValueError, match=message):
        predict(chosen.pop("model"), chosen.pop("image"), **chosen)


def test_a_network_that_overflows_is_told():
    model = _conv()
    model.bias.data += torch.inf
    with pytest.raises(FloatingPointError, match="model must give finite numbers"):
        predict(model, _image(1, 1, 8, 8, 8))
