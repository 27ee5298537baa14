"""``brainnet train brain``: a config and label maps in, a network with its card out."""

import json
import tomllib
from importlib import resources

import nibabel as nib
import numpy as np
import pytest
import torch

from brainnet import io
from brainnet.cli import main
from brainnet.io import DataError, DataWarning
from brainnet.models.core.checkpoint import load_checkpoint, save_checkpoint
from brainnet.models.voxel.labels import LabelTable
from brainnet.workflows import train
from brainnet.workflows.train_config import load_label_map, load_training
from tests.workflows.killed import whole_and_killed

TABLE = """index\tname\tstructure\tside\ttissue\tsources
1\tleft white\twhite\tleft\tWM\t2
2\tright white\twhite\tright\tWM\t41
3\tvessel\tvessel\tn/a\tn/a\t30,62
"""
CONFIG = """
[data]
label_maps = "maps"
held_out = ["head-3"]
labels = "toy.tsv"
source = "made here"
licence = "none"
[card]
intended_use = "tests"
not_for = "anything else"
licence = "GPL-3.0-or-later"
[network]
name = "UNet"
[network.options]
spatial_dims = 3
in_channels = 1
channels = [2, 4]
strides = [2]
[synthesis]
voxel_size = 3.0
shapes = [[8, 8, 8], [8, 12, 8]]
contrasts = ["T1w"]
n_an_epoch = 3
[scanner]
noise = 0
[recipe]
n_epochs = 2
learning_rate = 1e-2
"""


def _map(change=None):
    labels = np.zeros((26, 28, 24), dtype=np.int16)
    labels[4:13, 4:24, 4:20], labels[13:22, 4:24, 4:20] = 2, 41
    labels[12:14, 12:14, 12:14] = 30
    labels[2:4] = 509
    return labels if change is None else change(labels)


def _save(path, data, affine=None):
    return io.save_img(nib.Nifti1Image(data, np.eye(4) if affine is None else affine), path)


@pytest.fixture
def config(tmp_path):
    """A toy training: two maps that train, one held out."""
    for number in (1, 2, 3):
        _save(tmp_path / "maps" / f"head-{number}_dseg.nii.gz", np.roll(_map(), number, axis=1))
    (tmp_path / "toy.tsv").write_text(TABLE)
    path = tmp_path / "toy.toml"
    path.write_text(CONFIG)
    return path


def _train(config, out_dir, **options):
    return train.train_brain(
        config, out_dir, accelerator="cpu", threads=1, progress=False, **options
    )


def _edit(config, old, new):
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new, 1))


def test_writes_a_network_whose_card_tells_all_of_it(config, tmp_path):
    folder = _train(config, tmp_path / "out")
    model, card = load_checkpoint(folder, task="brain")
    table = LabelTable.from_rows(card["labels"])
    assert table.structures == ("white", "vessel")
    with torch.no_grad():
        assert model(torch.zeros(1, 1, 8, 8, 8)).shape[1] == table.n_channels == 4
    training, data = card["training"], card["data"]
    maps = {f"head-{i}_dseg.nii.gz": io.sha256(tmp_path / f"maps/head-{i}_dseg.nii.gz")
            for i in (1, 2, 3)}  # fmt: skip
    assert data["held_out"] == {"head-3_dseg.nii.gz": maps.pop("head-3_dseg.nii.gz")}
    assert data["label_maps"] == maps
    assert (data["source"], data["licence"]) == ("made here", "none")
    assert (card["intended_use"], card["not_for"]) == ("tests", "anything else")
    assert card["voxel_size"] == training["synthesis"]["voxel_size"] == 3.0
    assert training["n_images"] == 6
    assert training["recipe"]["learning_rate"] == 1e-2
    assert training["recipe"]["seed"] == 0
    assert training["scanner"]["noise"] == 0
    assert training["scanner"]["bias"] == 0.5  # what was not told is written down too
    assert (training["n_devices"], training["n_threads"], training["start"]) == (1, 1, None)
    assert training["device"].startswith("cpu")
    assert set(card["versions"]) == {"brainnet", "torch", "monai", "lightning-fabric"}
    log = io.load_table(tmp_path / "out" / "training.tsv")
    assert log["epoch"].tolist() == [0, 1]
    assert training["final_loss"] == log["loss/training"].iloc[-1]
    assert training["seconds"] == pytest.approx(log["seconds"].sum())
    # half precision on disk: no weight of more than 8 significant bits
    assert all(torch.equal(each, each.bfloat16().float()) for each in model.parameters())


def test_logs_for_tensorboard_where_it_is_installed(config, tmp_path):
    pytest.importorskip("tensorboard")
    _train(config, tmp_path / "out")
    assert list((tmp_path / "out" / "tensorboard").glob("events.out.tfevents.*"))


def test_trains_without_tensorboard(config, tmp_path, monkeypatch):
    monkeypatch.setattr(train.util, "find_spec", lambda _name: None)
    _train(config, tmp_path / "out")
    assert not (tmp_path / "out" / "tensorboard").exists()


def test_the_same_again_is_the_same_and_a_finished_run_is_left(config, tmp_path):
    first, second = (_train(config, tmp_path / name) for name in ("one", "two"))
    ours, theirs = (load_checkpoint(each)[0].state_dict() for each in (first, second))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    before = {each: each.read_bytes() for each in (tmp_path / "one").rglob("*.*") if each.is_file()}
    _train(config, tmp_path / "one")
    assert all(each.read_bytes() == content for each, content in before.items())


def test_torch_keeps_its_threads(config, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        _train(config, tmp_path / "out")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_starts_from_another_model(config, tmp_path):
    first = _train(config, tmp_path / "first")
    config.write_text(CONFIG.replace("1e-2", "1e-30") + '[start]\nmodel = "first/model"\n')
    second = _train(config, tmp_path / "second")
    ours, theirs = (load_checkpoint(each)[0].state_dict() for each in (first, second))
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-3) for name in ours)
    card = load_checkpoint(second)[1]
    start = card["training"]["start"]
    assert start["weights_sha256"] == io.sha256(first / "weights.safetensors")
    before = io.load_json(first / "card.json")
    assert (start["data"], start["training"]) == (before["data"], before["training"])
    (first / "card.json").write_text((first / "card.json").read_text().replace("made", "male"))
    with pytest.raises(DataError, match="card was changed"):
        _train(config, tmp_path / "third")


@pytest.mark.parametrize("kept", [[], ["data"], ["training"]])
def test_starts_from_a_model_whose_card_says_little(config, tmp_path, kept):
    model, card = load_checkpoint(_train(config, tmp_path / "first"))
    little = {name: card[name] for name in ("task", "network", *kept)}
    folder = save_checkpoint(tmp_path / "bare", model, little)
    config.write_text(CONFIG + '[start]\nmodel = "bare"\n')
    start = load_checkpoint(_train(config, tmp_path / "second"))[1]["training"]["start"]
    assert start == {
        "weights_sha256": io.sha256(folder / "weights.safetensors"),
        **{name: little.get(name) for name in ("data", "training")},
    }


def test_a_held_out_map_that_trained_the_start_is_refused(config, tmp_path):
    _train(config, tmp_path / "first")
    config.write_text(CONFIG + '[start]\nmodel = "first/model"\n')
    _train(config, tmp_path / "second")
    maps = tmp_path / "maps"  # under another name it is the same map
    (maps / "head-1_dseg.nii.gz").rename(maps / "head-9_dseg.nii.gz")
    _edit(config, '"head-3"', '"head-9"')
    for start in ("first", "second"):
        config.write_text(config.read_text().replace("first/model", f"{start}/model"))
        with pytest.raises(DataError, match="held_out map head-9") as caught:
            _train(config, tmp_path / "third")
        assert caught.value.path == tmp_path / start / "model"


def test_the_card_tells_the_maps_as_they_were_before_training(config, tmp_path, monkeypatch):
    from brainnet.models.voxel import train as room

    there = tmp_path / "maps" / "head-1_dseg.nii.gz"
    sha256, whole = io.sha256(there), room.train_segmentation

    def move(*given, **options):
        there.unlink()
        return whole(*given, **options)

    monkeypatch.setattr(room, "train_segmentation", move)
    card = load_checkpoint(_train(config, tmp_path / "out"))[1]
    assert card["data"]["label_maps"][there.name] == sha256


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("learning_rate = 1e-2", "learning_rate = 1e-3", "recipe.learning_rate"),
        ("noise = 0", "noise = 0.2", "scanner.noise"),
        ("n_an_epoch = 3", "n_an_epoch = 4", "synthesis.n_an_epoch"),
        ('held_out = ["head-3"]', "held_out = []", "head-3_dseg"),
    ],
)
def test_another_training_in_the_folder_is_refused(config, tmp_path, old, new, named):
    _train(config, tmp_path / "out")
    _edit(config, old, new)
    with pytest.raises(DataError, match=named) as caught:
        _train(config, tmp_path / "out")
    assert caught.value.path == tmp_path / "out"


def test_a_changed_label_map_is_another_training(config, tmp_path):
    _train(config, tmp_path / "out")
    _save(tmp_path / "maps" / "head-1_dseg.nii.gz", _map())
    with pytest.raises(DataError, match="head-1_dseg"):
        _train(config, tmp_path / "out")
    (tmp_path / "out" / "training.json").unlink()
    with pytest.raises(DataError, match="without its record"):
        _train(config, tmp_path / "out")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("[recipe]", "[recipes]", r"no section \[recipes\]. Did you mean recipe\?"),
        ("learning_rate", "learning_rat", "no 'learning_rat'. Did you mean learning_rate"),
        ("noise", "nose", r"\[scanner\] has no 'nose'. Did you mean noise"),
        ("held_out", "heldout", "Did you mean held_out"),
        ('"head-3"', '"head-33"', "head-33.*Did you mean head-3"),
        ('"head-3"', '"head-1", "head-2", "head-3"', "names every label map"),
        ('label_maps = "maps"', 'label_maps = "map"', r"map: no \*_dseg.nii.gz in it"),
        ('label_maps = "maps"', "", r"\[data\] label_maps"),
        ('name = "UNet"', "", r"\[network\] name"),
        ("n_epochs = 2", 'n_epochs = "2"', r"n_epochs is '2'. Give a whole number"),
        ("n_epochs = 2", "n_epochs = 2.5", "Give a whole number"),
        ("n_epochs = 2", "n_epochs = true", "Give a whole number"),
        ("n_epochs = 2", 'n_epochs = 2\nprecision = "bf16"', r"\[recipe\] precision must be"),
        ("n_an_epoch = 3", "n_an_epoch = 0", r"\[synthesis\] n_an_epoch must be 1 or more"),
        ('"head-3"', "3", "names '3'"),
        ("n_epochs = 2", "n_epochs = 0", r"\[recipe\] n_epochs must be .*1 or more"),
        ("noise = 0", "noise = -1", r"\[scanner\] noise must be 0 or more"),
        ("[scanner]", "[scanner", "is not TOML"),
        ("[data]", "seed = 1\n[data]", r"seed = 1 stands in no section"),
    ],
)
def test_a_mistake_in_the_config_is_named(config, tmp_path, old, new, problem):
    _edit(config, old, new)
    with pytest.raises(DataError, match=problem):
        _train(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"UNet"', '"UNet3"', "network must be one of"),
        ("channels = [2, 4]", "chanels = [2, 4]", "options of UNet must fit it"),
        ("[8, 12, 8]", "[8, 13, 8]", r"of \(8, 13, 8\) it makes"),
        ("[8, 12, 8]", '[8, "12", 8]', "shapes must be"),
        ("[8, 12, 8]", "7", "shapes must be"),
        ('["T1w"]', '["T1"]', "got 'T1'"),
        ("n_epochs = 2", 'n_epochs = 2\nprecision = "16-mixed"', "16-mixed"),
    ],
)
def test_a_value_that_only_torch_can_judge_is_named(config, tmp_path, old, new, problem):
    _edit(config, old, new)
    with pytest.raises(ValueError, match=problem):
        _train(config, tmp_path / "out")
    config.write_text(CONFIG)  # corrected, it trains in the same folder
    assert _train(config, tmp_path / "out").is_dir()


@pytest.mark.parametrize(
    ("data", "affine", "problem"),
    [
        (_map().astype(np.float32) + 0.25, None, "holds 0.25"),
        (np.where(_map() == 2, np.nan, _map()).astype(np.float32), None, "holds nan"),
        (-_map(), None, "holds -"),
        (_map() + np.int16(4000), None, "from 0 to 4095"),
        (np.stack([_map()] * 2, axis=-1), None, "4 dimensions"),
        (np.where(_map() == 0, 0, 99).astype(np.int16), None, "none of the labels"),
        (_map(), np.diag([2.0, 2, 2, 1]), "2 x 2 x 2 mm, not 1 mm"),
        (_map(), np.diag([1.0, 1, 1.1, 1]), "1 x 1 x 1.1 mm"),
    ],
)
@pytest.mark.filterwarnings("ignore::brainnet.io.DataWarning")
def test_a_bad_label_map_is_named(config, tmp_path, data, affine, problem):
    path = _save(tmp_path / "maps" / "head-2_dseg.nii.gz", data, affine)
    with pytest.raises(DataError, match=problem) as caught:
        _train(config, tmp_path / "out")
    assert caught.value.path == path
    assert not (tmp_path / "out").exists()


def test_a_damaged_label_map_is_named(config, tmp_path):
    path = tmp_path / "maps" / "head-1_dseg.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError) as caught:
        _train(config, tmp_path / "out")
    assert caught.value.path == path


def test_label_maps_are_brought_to_ras(tmp_path, config):
    table = LabelTable.from_rows(load_checkpoint(_train(config, tmp_path / "out"))[1]["labels"])
    labels = _map()
    turned = np.ascontiguousarray(labels[::-1].transpose(2, 0, 1))  # axes S, L, A
    affine = np.array([[0, -1, 0, 25], [0, 0, 1, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]])
    path = _save(tmp_path / "turned_dseg.nii.gz", turned, affine)
    assert np.array_equal(load_label_map(path, table), labels)
    whole = _save(tmp_path / "float_dseg.nii.gz", labels.astype(np.float32))
    found = load_label_map(whole, table)  # whole numbers in another type are labels too
    assert found.dtype == np.int16
    assert np.array_equal(found, labels)
    nearly = _save(tmp_path / "nearly_dseg.nii.gz", labels, np.diag([1.04, 0.96, 1.0, 1]))
    assert load_label_map(nearly, table).shape == labels.shape


def test_says_which_structure_is_missing_in_one_map_or_in_all(config, tmp_path):
    bare = np.where(_map() == 30, 2, _map()).astype(np.int16)
    _save(tmp_path / "maps" / "head-1_dseg.nii.gz", bare)
    with pytest.warns(DataWarning, match=r"head-1_dseg.nii.gz: no vessel. The network learns"):
        _train(config, tmp_path / "out")
    _save(tmp_path / "maps" / "head-2_dseg.nii.gz", bare)
    with (
        pytest.warns(DataWarning, match="no vessel"),
        pytest.raises(DataError, match="no label map has vessel"),
    ):
        _train(config, tmp_path / "other")


def test_says_which_device_there_is_not(config, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ValueError, match=r"accelerator gpu .* must be there"):
        train.train_brain(config, tmp_path / "out", accelerator="gpu")
    with pytest.raises(ValueError, match="must be auto, cpu or gpu"):
        train.train_brain(config, tmp_path / "out", accelerator="tpu")


def test_the_packages_recipe_has_the_settings_of_its_network(config, tmp_path):
    text = train.recipe_text()
    path = tmp_path / "brain.toml"
    path.write_text(text)
    for number in (1, 5, 10, 15, 20):
        _save(tmp_path / "labelmaps" / f"labelmap-{number:02}_dseg.nii.gz", _map())
    training = load_training(path)
    assert [each.name[:11] for each in training.label_maps] == ["labelmap-01"]
    assert len(training.held_out) == 4
    folder = resources.files("brainnet.models.voxel") / "weights" / "brain"
    card = io.load_json(str(folder / "card.json"))
    for part in ("recipe", "synthesis", "scanner", "loss"):
        assert card["training"][part] == training.record()[part]
    outputs = {"out_channels": card["network"]["options"]["out_channels"]}
    assert training.network["options"] | outputs == card["network"]["options"]
    assert training.labels == "brain"
    assert all(training.texts.values())


def test_a_card_can_be_written_for_a_network_trained_elsewhere(config):
    from brainnet.models.core.state import History
    from brainnet.models.voxel.labels import load_labels

    training = load_training(config)
    run = train.Run(History([0.9, 0.4]), seconds=12.0, n_threads=2)
    scores, table = {"dice": {"T1w": 0.9}}, load_labels(training.labels)
    card = train.brain_card(training.record(), table, run, texts=training.texts, scores=scores)
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert (card["scores"], card["training"]["final_loss"]) == (scores, 0.4)
    assert card["training"]["n_images"] == 6


def test_command_line(config, tmp_path, capsys):
    assert train.command(["brain", "--print-recipe"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["network"]["name"] == "DynUNet"
    arguments = ["brain", str(config), str(tmp_path / "out"), "--accelerator=cpu", "--threads=1"]
    assert train.command([*arguments, "--precision", "32-true"]) == 0
    printed = capsys.readouterr()
    assert f"model: {tmp_path / 'out' / 'model'}" in printed.out
    assert "2/2" in printed.err  # the bar


def test_a_loss_that_is_not_finite_is_told_as_a_mistake(config, tmp_path, capsys):
    _edit(config, "learning_rate = 1e-2", "learning_rate = 1e30")
    arguments = ["train", "brain", str(config), str(tmp_path / "out"), "--accelerator=cpu"]
    assert main(arguments) == 2
    assert "brainnet: error: the training loss must stay finite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["brain"], "CONFIG and OUT are needed"),
        (["brian", "a", "b"], "invalid choice"),
        (["brain", "a", "b", "--devices", "0"], "whole number from 1 on"),
        (["brain", "a", "b", "--precision", "bf16"], "invalid choice"),
    ],
)
def test_command_line_says_what_it_cannot_read(arguments, said, capsys):
    with pytest.raises(SystemExit) as caught:
        train.command(arguments)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(config, tmp_path):
    _edit(config, "n_epochs = 2", "n_epochs = 12")
    whole, killed = whole_and_killed("brain", config, tmp_path, 12)
    for name in ("training.tsv", "model/card.json"):
        assert (killed / name).exists()
    ours, theirs = (load_checkpoint(each / "model")[0].state_dict() for each in (whole, killed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert io.load_table(killed / "training.tsv")["loss/training"].equals(
        io.load_table(whole / "training.tsv")["loss/training"]
    )
