"""brainnet compress: one command, a folder a variant, one table."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from brainnet import cli, io
from brainnet.io import DataError, DataWarning
from brainnet.models.core.checkpoint import load_checkpoint, save_checkpoint
from brainnet.models.core.fit import fork_seed
from brainnet.models.core.networks import build_network
from brainnet.models.core.predict import predict
from brainnet.models.voxel.labels import load_labels
from brainnet.workflows import compress, train
from brainnet.workflows.compress import Options, command, compress_network, table_text
from brainnet.workflows.compress_images import make_images, mean_dice, simple_head

NETWORK = {
    "name": "UNet",
    "options": {"spatial_dims": 3, "in_channels": 1, "out_channels": 20, "channels": [4, 8],
                "strides": [2]},
}  # fmt: skip
CARD = {"task": "brain", "network": NETWORK, "labels": "brain", "voxel_size": 8.0,
        "scores": {"dice": 0.9}, "training": {"n_images": 7}}  # fmt: skip
SMALL = {"shape": (16, 16, 16), "n_images": 1, "n_steps": 2, "n_threads": 1}


@pytest.fixture(autouse=True)
def _costs_nothing(request, monkeypatch):
    """No process a variant, which takes seconds to begin; but for one test."""
    from brainnet.models.core.compress import compare

    if "capsys" not in request.fixturenames:
        monkeypatch.setattr(compare, "measure_cost", lambda *args, **rest: compare.Cost(1, 2, 1))


@pytest.fixture
def model(tmp_path):
    with fork_seed(0):
        network = build_network(NETWORK["name"], NETWORK["options"])
    return save_checkpoint(tmp_path / "model", network, CARD)


def test_torch_variants_are_models_by_themselves(model, tmp_path):
    out = tmp_path / "out"
    variants = ("bf16", "sparse", "pruned", "student")
    table = compress_network(model, out, options=Options(variants=variants, **SMALL))
    assert table["variant"].tolist() == ["original", *variants]
    network, own = load_checkpoint(model, task="brain")
    for variant in variants:
        found, card = load_checkpoint(out / variant, task="brain")
        assert card["compressed"]["variant"] == variant
        lineage = {"weights_sha256": own["weights_sha256"], "training": {"n_images": 7}}
        assert card["compressed"]["from"] == lineage
        assert not {"scores", "training"} & {*card}  # they are the original's
        assert card["labels"] == "brain"
        assert predict(found, torch.rand(1, 1, 16, 16, 16)).shape[1] == 20
    sizes = table.set_index("variant")["size_mb"]
    assert sizes["bf16"] < 0.7 * sizes["original"]
    assert sizes["pruned"] < 0.7 * sizes["bf16"]
    sparse = load_checkpoint(out / "sparse")[0]
    weights = torch.cat([each.flatten() for each in sparse.parameters() if each.ndim > 1])
    assert float((weights == 0).float().mean()) == pytest.approx(0.5, abs=0.01)
    assert load_checkpoint(out / "pruned")[1]["network"]["options"]["channels"] == [2, 4]
    bf16 = load_checkpoint(out / "bf16")[0].state_dict()
    for name, each in network.state_dict().items():
        torch.testing.assert_close(bf16[name], each, rtol=2**-8, atol=0)
    written = io.load_table(out / "comparison.tsv")
    pd.testing.assert_frame_equal(written, table, check_dtype=False)
    record = io.load_json(out / "comparison.json")
    assert record["model"] == own["weights_sha256"]
    assert record["images"]["anatomies"] == "one simple head made of ellipsoids"
    assert len(record["variants"]) == 5


def test_onnx_variants_through_the_command(model, tmp_path, capsys):
    pytest.importorskip("onnxruntime", reason="the extra compress is not installed")
    out = tmp_path / "out"
    flags = ["--variants", "onnx", "int8", "--shape", "16", "16", "16", "--n-images", "1",
             "--threads", "1"]  # fmt: skip
    assert command([str(model), str(out), *flags]) == 0
    printed = capsys.readouterr()
    assert "int8: ONNX with 8-bit weights" in printed.err
    assert "original" in printed.out
    assert "parity" in printed.out
    table = io.load_table(out / "comparison.tsv").set_index("variant")
    assert bool(table.loc["onnx", "passed"])
    assert table.loc["onnx", "max_difference"] < 1e-4
    card = json.loads((out / "int8" / "card.json").read_text())
    assert card["compressed"]["calibrated_on"]["n_images"] == 1
    found, _ = load_checkpoint(out / "int8", task="brain")
    assert predict(found, torch.rand(1, 1, 17, 16, 16)).shape == (1, 20, 17, 16, 16)
    with pytest.raises(DataError, match="variants are made of torch networks"):
        compress_network(out / "int8", tmp_path / "again")


def _save_map(folder, number, shift=0):
    labels = np.roll(simple_head()[::2, ::2, ::2], shift, axis=1)
    img = nib.Nifti1Image(labels, np.diag([1.0, 1, 1, 1]))
    return io.save_img(img, folder / f"map-{number}_dseg.nii.gz")


def test_what_was_held_out_scores_and_the_rest_teaches(tmp_path):
    paths = [_save_map(tmp_path, number, number) for number in range(3)]
    held_out = {"elsewhere.nii.gz": io.sha256(paths[0])}
    card = CARD | {"data": {"held_out": held_out}}
    notes = make_images(card, label_maps=tmp_path, shape=(16, 16, 16), n_images=1).notes
    assert list(notes["scored_on"]) == [paths[0].name]
    assert list(notes["learned_from"]) == [each.name for each in paths[1:]]
    assert notes["scored_on_unseen"]
    with pytest.warns(DataWarning, match="no map in it that the network never saw"):
        notes = make_images(CARD, label_maps=tmp_path, shape=(16, 16, 16), n_images=1).notes
    assert not set(notes["scored_on"]) & set(notes["learned_from"])
    assert not notes["scored_on_unseen"]


def test_one_held_out_map_alone_teaches_and_scores(tmp_path):
    path = _save_map(tmp_path, 0)
    card = CARD | {"data": {"held_out": {path.name: io.sha256(path)}}}
    with pytest.warns(DataWarning, match="and that none learns from. Scores may be too good"):
        notes = make_images(card, label_maps=tmp_path, shape=(16, 16, 16), n_images=1).notes
    assert notes["scored_on"] == notes["learned_from"]
    assert not notes["scored_on_unseen"]


def test_no_label_maps_and_no_structure(tmp_path):
    with pytest.raises(DataError, match=r"no \*_dseg\.nii\.gz"):
        make_images(CARD, label_maps=tmp_path, shape=(16, 16, 16), n_images=1)
    rows = load_labels("brain").rows()
    rows = [each | {"sources": "999"} for each in rows if each["side"] not in ("left", "right")][:1]
    with pytest.raises(ValueError, match="no structure of the label table"):
        make_images(CARD | {"labels": rows}, label_maps=None, shape=(16, 16, 16), n_images=1)


def test_truth_scores_one_and_swapped_sides_do_not():
    images = make_images(CARD, label_maps=None, shape=(32, 32, 32), n_images=1)
    batch, table = images.yardstick().batches[0], images.table
    logits = torch.cat([batch["structure"], batch["side"][:, 1:] - 0.5], dim=1) * 1000
    score = mean_dice(table.probabilities(logits), batch, table)
    assert score == pytest.approx(1, abs=0.02)  # two shares of a voxel can be equal
    logits[:, -1] *= -1
    assert mean_dice(table.probabilities(logits), batch, table) < 0.4
    nothing = torch.zeros_like(table.probabilities(logits))
    assert mean_dice(nothing, batch, table) == 0


def test_the_simple_head_has_every_structure_on_its_side():
    table, head = load_labels("brain"), simple_head()
    there = set(np.unique(head)[1:].tolist())
    assert set(table.regions["index"]) <= there
    middle = head.shape[0] // 2
    for number, side in zip(table.regions["index"], table.regions["side"], strict=True):
        x = np.nonzero(head == number)[0]
        if side == "left":
            assert x.max() <= middle
        elif side == "right":
            assert x.min() >= middle


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variants": ("int4",)}, "variants must be of bf16, .*; got int4"),
        ({"variants": ()}, "got none"),
        ({"share": 1.0}, "share must be between 0 and 1"),
        ({"shape": (80, 90, 80)}, "multiples of 16"),
        ({"n_images": 0}, "n_images must be 1 or more"),
        ({"n_steps": 0}, "n_steps must be 1 or more"),
    ],
)
def test_settings_outside_of_their_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Options(**settings)


def test_bad_models_and_places(model, tmp_path):
    options = Options(variants=("bf16",), **SMALL)
    with pytest.raises(DataError, match="lies in the folder of the model"):
        compress_network(model, model / "small", options=options)
    student = save_checkpoint(tmp_path / "out" / "student", load_checkpoint(model)[0], CARD)
    with pytest.raises(DataError, match="out: holds the model, as student"):
        compress_network(student, tmp_path / "out", options=options)
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["student"]
    other = save_checkpoint(tmp_path / "other", load_checkpoint(model)[0], CARD | {"task": "ct"})
    with pytest.raises(DataError, match="trained for 'ct', and variants"):
        compress_network(other, tmp_path / "out", options=options)
    card = model / "card.json"
    card.write_text(card.read_text().replace("8.0", "1.0"))
    with pytest.raises(DataError, match="card was changed"):
        compress_network(model, tmp_path / "nowhere", options=options)
    assert not (tmp_path / "nowhere").exists()


def test_a_network_of_haemorrhages_is_scored_on_scans_with_blood(tmp_path):
    table = load_labels("haemorrhage")
    built = {
        "name": "UNet",
        "options": NETWORK["options"] | {"out_channels": 2 + table.n_structures},
    }
    card = CARD | {"task": "haemorrhage", "network": built, "labels": table.rows(),
                   "training": {"loss": {"joined": [["perihaematomal oedema"]]}}}  # fmt: skip
    with fork_seed(0):
        network = build_network(built["name"], built["options"])
    model = save_checkpoint(tmp_path / "model", network, card)
    options = Options(variants=("bf16", "student"), **SMALL)
    found = compress_network(model, tmp_path / "out", options=options)
    assert found["variant"].tolist() == ["original", "bf16", "student"]
    assert found.set_index("variant").loc["bf16", "score_change"] == pytest.approx(0, abs=0.05)
    assert load_checkpoint(tmp_path / "out" / "student", task="haemorrhage")[1]["task"]
    record = io.load_json(tmp_path / "out" / "comparison.json")
    assert record["images"]["contrasts"] == ["CT"]
    images = make_images(
        card | {"voxel_size": 3.0}, label_maps=None, shape=(64, 64, 48), n_images=3
    )
    bleeds = 1 + table.structures.index("intraparenchymal haemorrhage")
    for batch in images.yardstick().batches:
        assert batch["structure"][0, bleeds : bleeds + 5].sum() > 1


def test_without_the_extra_the_command_says_what_to_install(model, tmp_path, monkeypatch):
    from brainnet.models.core.compress import onnx

    monkeypatch.setattr(onnx, "find_spec", lambda name: None)
    flags = ["--variants", "onnx", "--shape", "16", "16", "16", "--n-images", "1"]
    with (
        pytest.warns(DataWarning, match="onnx: not made"),
        pytest.raises(ValueError, match=r"pip install 'brainnet\[compress\]'"),
    ):
        command([str(model), str(tmp_path / "out"), *flags])


def test_a_variant_that_fails_does_not_lose_the_others(model, tmp_path, monkeypatch):
    from brainnet.models.core.compress import compare, prune

    def fail(*args, **options):
        raise ValueError("network must be otherwise. Distil a student instead.")

    def killed(folder, *args, **options):
        raise RuntimeError(f"{folder} could not be measured: status -9")

    monkeypatch.setattr(prune, "prune_channels", fail)
    monkeypatch.setattr(compare, "measure_cost", killed)
    out = tmp_path / "out"
    flags = ["--variants", "pruned", "bf16", "--shape", "16", "16", "16", "--n-images", "1"]
    with (
        pytest.warns(DataWarning, match="pruned: not made: .* student instead. It is left out"),
        pytest.warns(DataWarning, match="status -9"),
    ):
        assert command([str(model), str(out), *flags]) == 1
    record = io.load_json(out / "comparison.json")
    assert record["not_made"] == {"pruned": "network must be otherwise. Distil a student instead."}
    assert [each["variant"] for each in record["variants"]] == ["original", "bf16"]
    assert record["variants"][1]["latency_s"] is None
    assert load_checkpoint(out / "bf16")


def test_a_variant_of_a_variant_knows_where_both_are_from(model, tmp_path):
    options = Options(variants=("bf16",), **SMALL)
    compress_network(model, tmp_path / "first", options=options)
    compress_network(tmp_path / "first" / "bf16", tmp_path / "second", options=options)
    first, second = (
        load_checkpoint(tmp_path / each / "bf16")[1]["compressed"] for each in ("first", "second")
    )
    assert second["from"]["compressed"] == first
    assert first["from"]["training"] == {"n_images": 7}


def test_networks_are_tried_on_an_image_that_leaves_every_axis_free(model, tmp_path):
    network, card = load_checkpoint(model)
    options = Options(shape=(32, 16, 16))
    maker = compress._Maker(network, card, model, None, options, False)
    assert maker._example.shape == (1, 1, 32, 32, 32)


def test_interrupted_it_does_not_promise_to_go_on(monkeypatch, capsys):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(compress, "compress_network", interrupt)
    assert cli.main(["compress", "MODEL", "OUT"]) == 130
    assert "it begins anew" in capsys.readouterr().err
    monkeypatch.setattr(train, "train_brain", interrupt)
    assert cli.main(["train", "brain", "CONFIG", "OUT"]) == 130
    assert "it goes on where it stopped" in capsys.readouterr().err


def test_help_names_every_variant(capsys):
    with pytest.raises(SystemExit):
        command(["--help"])
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in compress.VARIANTS)


def test_the_table_says_no_where_a_variant_fails():
    row = dict.fromkeys(["size_mb", "size_gzip_mb", "latency_s", "peak_memory_mb", "score",
                         "score_change", "max_difference", "agreement"], 0.5)  # fmt: skip
    frame = pd.DataFrame([row | {"variant": "int8", "passed": False}])
    assert table_text(frame).splitlines()[1].endswith("NO")
