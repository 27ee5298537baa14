"""Networks as ONNX: the same numbers as torch, held against their cards."""

import hashlib
import json
import logging

import numpy as np
import pytest
import torch
from torch import nn

from brainnet.io import DataError
from brainnet.models.core.checkpoint import load_checkpoint, save_checkpoint
from brainnet.models.core.predict import predict

pytest.importorskip("onnxruntime", reason="the extra compress is not installed")
onnx_package = pytest.importorskip("onnx", reason="the extra compress is not installed")

from brainnet.models.core.compress import onnx as module  # noqa: E402
from brainnet.models.core.compress.onnx import (  # noqa: E402
    OnnxNetwork,
    export_onnx,
    load_onnx,
    needs,
    save_onnx,
)
from brainnet.models.core.compress.quantise import quantise  # noqa: E402

CARD = {"task": "blobs", "network": {"name": "DynUNet", "options": {}}}


def _noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(1, 1, 8, 8, 8), (1, 1, 16, 4, 12), (3, 1, 12, 8, 8)])
def test_gives_what_torch_gives_for_any_shape(tiny, exported, shape):
    network = tiny[1]
    with torch.inference_mode():
        wanted = network(_noise(*shape))
        found = OnnxNetwork(exported)(_noise(*shape))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * float(wanted.std()))


def test_says_nothing_of_the_machine_it_was_made_on(exported):
    for word in (b"site-packages", b"torch/nn", b".py", b"stack_trace"):
        assert word not in exported


def test_another_output_is_not_let_pass(tiny, exported):
    network = tiny[1]
    with torch.no_grad():
        next(network.output_block.parameters()).mul_(1.01)
    with pytest.raises(ValueError, match="must give what torch gives"):
        module.check_parity(network, OnnxNetwork(exported), _noise(1, 1, 8, 8, 8))


class _Unknown(nn.Module):
    def forward(self, image):
        return torch.linalg.eigvalsh(image @ image.transpose(-1, -2))[..., None] + image


def test_an_operator_that_onnx_has_not_is_named_in_one_error():
    with pytest.raises(ValueError, match=r"operators that ONNX has; got _Unknown") as caught:
        export_onnx(_Unknown(), _noise(1, 1, 4, 4, 4))
    assert "\n" not in str(caught.value)


def test_runs_in_predict_at_a_shape_the_network_itself_refuses(tiny, exported):
    network = tiny[1]
    told = needs(network, _noise(1, 1, 8, 8, 8))
    assert told["multiple"] == [4, 4, 4]
    model = OnnxNetwork(exported, **told)
    for shape, flips in (((13, 16, 11), ((),)), ((12, 16, 8), ((), (0,)))):
        image = _noise(1, 1, *shape)
        options = {"precision": "32-true", "flips": flips}
        wanted = predict(network, image, **options)
        torch.testing.assert_close(predict(model, image, **options), wanted, rtol=0, atol=1e-4)


def test_predict_knows_of_its_memory(tiny, exported):
    """Who watches torch's tensors sees as much as of the torch network, and not without."""
    image = _noise(1, 1, 8, 8, 8)
    told = needs(tiny[1], image)
    seen = needs(OnnxNetwork(exported, **told), image)["bytes_a_voxel"]
    unseen = needs(OnnxNetwork(exported), image)["bytes_a_voxel"]
    assert unseen < 0.5 * told["bytes_a_voxel"] < 0.5 * seen


def test_comes_back_from_disk_through_load_checkpoint(exported, tmp_path):
    save_onnx(tmp_path, exported, CARD | {"onnx": {"multiple": [4, 4, 4]}})
    network, card = load_checkpoint(tmp_path, task="blobs")
    image = _noise(1, 1, 8, 8, 8)
    assert torch.equal(network(image), OnnxNetwork(exported)(image))
    assert network.multiple == (4, 4, 4)
    assert card["format"] == "onnx"
    assert card["task"] == "blobs"


def test_a_tampered_card_or_model_is_refused(exported, tmp_path):
    save_onnx(tmp_path, exported, CARD)
    card_path, model_path = tmp_path / "card.json", tmp_path / "model.onnx"
    card, content = card_path.read_text(), model_path.read_bytes()

    card_path.write_text(card.replace("blobs", "brain"))
    with pytest.raises(DataError, match="card was changed"):
        load_onnx(tmp_path)
    card_path.write_text(card)

    model_path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match="not those that the card was written for"):
        load_onnx(tmp_path)

    model_path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not those that the card was written for"):
        load_checkpoint(tmp_path)

    model_path.unlink()
    with pytest.raises(DataError, match=r"model\.onnx"):
        load_onnx(tmp_path)


def test_a_file_that_is_no_model_is_refused_though_the_hash_fits(exported, tmp_path):
    save_onnx(tmp_path, exported, CARD)
    (tmp_path / "model.onnx").write_bytes(b"no model at all")
    card = json.loads((tmp_path / "card.json").read_text())
    card["model_sha256"] = hashlib.sha256(b"no model at all").hexdigest()
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match="not an ONNX model"):
        load_onnx(tmp_path)


def test_another_task_and_a_card_of_something_else(exported, tiny, tmp_path):
    save_onnx(tmp_path / "onnx", exported, CARD)
    with pytest.raises(DataError, match="'blobs', not for 'brain'"):
        load_checkpoint(tmp_path / "onnx", task="brain")
    save_checkpoint(tmp_path / "torch", tiny[1], CARD | {"network": tiny[0]})
    with pytest.raises(DataError, match="no model_sha256"):
        load_onnx(tmp_path / "torch")


def test_an_image_of_another_number_of_channels(exported):
    with pytest.raises(ValueError, match="image must have a shape that the model takes"):
        OnnxNetwork(exported)(_noise(1, 2, 8, 8, 8))


def test_says_what_to_install(monkeypatch, exported):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'brainnet\[compress\]'"):
        OnnxNetwork(exported)


def test_eight_bits_are_near_and_small(tiny, exported):
    network = tiny[1]
    image = _noise(1, 1, 16, 16, 16)
    content = quantise(exported, lambda: [image])
    with torch.inference_mode():
        wanted, found = network(image), OnnxNetwork(content)(image)
    assert float((found - wanted).abs().mean() / wanted.std()) < 0.1
    assert not torch.equal(found, wanted)
    model = onnx_package.load_model_from_string(content)
    kinds = {each.data_type for each in model.graph.initializer if len(each.dims) == 5}
    assert kinds == {onnx_package.TensorProto.INT8}


def test_activations_are_calibrated_on_the_images(tiny, exported):
    """Of an activation beyond the range that was seen, only the range is left."""
    dim, bright = _noise(1, 1, 8, 8, 8) * 0.1, _noise(1, 1, 8, 8, 8)
    network = tiny[1]
    with torch.inference_mode():
        wanted = network(bright)
        near, far = (
            float((OnnxNetwork(quantise(exported, [each].copy))(bright) - wanted).abs().mean())
            for each in (bright, dim)
        )
    assert near < 0.5 * far


def test_calibration_without_images_or_with_damaged_ones(exported):
    with pytest.raises(ValueError, match="images must not be empty"):
        quantise(exported, list)
    with pytest.raises(ValueError, match="images must be finite"):
        quantise(exported, lambda: [torch.full((1, 1, 8, 8, 8), np.nan)])


def test_quantising_leaves_the_log_as_it_was(exported):
    before = logging.root.manager.disable, list(logging.root.handlers)
    quantise(exported, lambda: [_noise(1, 1, 8, 8, 8)])
    assert (logging.root.manager.disable, list(logging.root.handlers)) == before


def test_without_the_extra_a_model_is_refused_with_what_to_install(monkeypatch, exported, tmp_path):
    save_onnx(tmp_path, exported, CARD)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"not installed\. pip install 'brainnet\[compress\]'"):
        load_checkpoint(tmp_path)


def test_another_shape_is_checked_along_every_axis(monkeypatch):
    shapes = []
    monkeypatch.setattr(module, "check_parity", lambda *each: shapes.append(each[-1].shape[2:]))
    export_onnx(nn.Conv3d(1, 2, 3, padding=1), _noise(1, 1, 4, 6, 8))
    assert shapes == [(4, 6, 8), (8, 12, 16)]
