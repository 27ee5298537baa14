"""The comparison of variants: planted differences come out, and costs are those of a process."""

import pytest
import torch
from torch import nn

from brainnet.io import DataError, DataWarning
from brainnet.models.core.checkpoint import load_checkpoint, save_checkpoint
from brainnet.models.core.compress import compare as module
from brainnet.models.core.compress.compare import Cost, Yardstick, compare, measure_cost
from brainnet.models.core.networks import build_network

OPTIONS = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8],
           "strides": [2]}  # fmt: skip
CARD = {"task": "blobs", "network": {"name": "UNet", "options": OPTIONS}}


def _image(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _yardstick(score=None, n=2):
    return Yardstick(
        [{"image": _image(1, 1, 16, 16, 16, seed=seed)} for seed in range(n)],
        lambda logits: logits.float().softmax(dim=1),
        score or (lambda found, batch: float(found[:, 1].mean())),
    )


@pytest.fixture
def original(tmp_path):
    network = build_network("UNet", OPTIONS)
    return save_checkpoint(tmp_path / "original", network, CARD)


@pytest.fixture
def costs_nothing(monkeypatch):
    """No process a variant, which takes seconds to begin."""
    monkeypatch.setattr(module, "measure_cost", lambda *args, **options: Cost(0.5, 300.0, 200.0))


def _with_bias(original, tmp_path, shift):
    """Write the network with its second output raised."""
    network, _ = load_checkpoint(original)
    last = [each for each in network.modules() if isinstance(each, nn.ConvTranspose3d)][-1]
    with torch.no_grad():
        last.bias[1] += shift
    return save_checkpoint(tmp_path / f"raised{shift}", network, CARD)


def test_an_equal_network_passes_and_a_spoilt_one_does_not(original, tmp_path, costs_nothing):
    folders = {
        "original": original,
        "copy": save_checkpoint(
            tmp_path / "copy", load_checkpoint(original)[0], CARD, dtype=torch.bfloat16
        ),
        "spoilt": _with_bias(original, tmp_path, -50.0),
    }
    table = compare(folders, _yardstick(), precision="32-true", n_repeats=1).set_index("variant")
    assert list(table.index) == list(folders)
    assert table.loc["original", ["max_difference", "score_change"]].tolist() == [0, 0]
    assert table.loc["original", "agreement"] == 1
    assert 0 < table.loc["copy", "max_difference"] < 0.05
    assert table.loc["copy", "size_mb"] < 0.75 * table.loc["original", "size_mb"]
    spoilt = table.loc["spoilt"]
    assert spoilt["agreement"] == 0  # it names nothing
    assert spoilt["score"] == pytest.approx(0, abs=1e-6)
    assert table["passed"].tolist() == [True, True, False]
    assert table["latency_s"].tolist() == [0.5] * 3


def test_a_better_score_with_other_labels_does_not_pass(original, tmp_path, costs_nothing):
    folders = {"original": original, "raised": _with_bias(original, tmp_path, 50.0)}
    table = compare(folders, _yardstick(), precision="32-true", n_repeats=1)
    with torch.inference_mode():
        network = load_checkpoint(original)[0]
        named = [network(each["image"]).argmax(dim=1).float() for each in _yardstick().batches]
    share = float(torch.stack(named).mean())  # the other one names every voxel
    assert table["agreement"].iloc[1] == pytest.approx(share)
    assert table["score_change"].iloc[1] > 0
    assert not table["passed"].iloc[1]


def test_peak_memory_is_that_of_the_image(original):
    """Eight channels more for a large image than for a small one, in float32, at least."""
    small, large = (
        measure_cost(original, (1, 1, n, n, n), precision="32-true", n_threads=1, n_repeats=1)
        for n in (16, 128)
    )
    assert large.peak_memory_mb - small.peak_memory_mb > 2 * 4 * 128**3 / 1e6
    assert large.latency_s > small.latency_s > 0
    assert large.peak_memory_mb > large.loaded_memory_mb > 0


def test_nothing_to_compare(original):
    with pytest.raises(ValueError, match="got 0 variants"):
        compare({}, _yardstick())
    with pytest.raises(ValueError, match="0 batches"):
        compare({"original": original}, _yardstick(n=0))


def test_a_damaged_variant_is_named(original, tmp_path, costs_nothing):
    folder = save_checkpoint(tmp_path / "cut", load_checkpoint(original)[0], CARD)
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(DataError, match="not those that the card was written for"):
        compare({"original": original, "cut": folder}, _yardstick(), n_repeats=1)


def test_a_process_that_fails_says_why(original):
    with pytest.raises(RuntimeError, match=r"could not be measured: .*RuntimeError"):
        measure_cost(original, (1, 3, 16, 16, 16), n_repeats=1)


def test_what_cannot_be_measured_is_left_out_of_the_table(original, monkeypatch):
    def killed(folder, *args, **options):
        raise RuntimeError(f"{folder} could not be measured: status -9")

    monkeypatch.setattr(module, "measure_cost", killed)
    with pytest.warns(DataWarning, match="original could not be measured: status -9. Its cost"):
        table = compare({"original": original}, _yardstick(), precision="32-true")
    assert table[["latency_s", "peak_memory_mb", "loaded_memory_mb"]].isna().all(axis=None)
    assert table["passed"].all()
