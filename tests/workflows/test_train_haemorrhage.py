"""``brainnet train haemorrhage``: label maps, scans of patients, or both in; a network out."""

import tomllib
from importlib import resources

import nibabel as nib
import numpy as np
import pytest
import torch

from brainnet import io
from brainnet.io import DataError
from brainnet.models.core.checkpoint import load_checkpoint
from brainnet.models.core.fit import threads
from brainnet.models.core.recipe import Recipe
from brainnet.models.core.state import History
from brainnet.models.voxel.haemorrhage.scan import CTScanner
from brainnet.models.voxel.haemorrhage.synthesis import HaemorrhageSynthesis, Patients
from brainnet.models.voxel.labels import load_labels
from brainnet.models.voxel.segment import load_segmenter
from brainnet.models.voxel.train import train_segmentation
from brainnet.workflows import train
from brainnet.workflows.train_haemorrhage import haemorrhage_card, train_haemorrhage
from brainnet.workflows.train_haemorrhage_config import load_haemorrhage_training
from tests.models.voxel.haemorrhage import made_scans as made
from tests.workflows.killed import whole_and_killed

NETWORK = """
[network]
name = "UNet"
[network.options]
spatial_dims = 3
in_channels = 1
channels = [2, 4]
strides = [2]
[synthesis]
voxel_size = 8.0
shapes = [[16, 16, 16]]
n_an_epoch = 3
[recipe]
n_epochs = 2
learning_rate = 1e-2
"""
MAPS = '[data]\nlabel_maps = "maps"\nheld_out = ["head-2"]\nsource = "made here"\n'
SCANS = '[data]\nscans = "scans"\nsource = "our hospital"\n'
BOTH = '[data]\nlabel_maps = "maps"\nscans = "scans"\nheld_out = ["head-2", "b"]\n'
BINARY = '[data.labels]\n1 = "haemorrhage of unknown kind"\n'


def _head(n=(120, 140, 120)):
    """A head in FreeSurfer's numbers: skin, bone, fluid, two halves, ventricles, brain-stem."""
    x, y, z = np.meshgrid(*(np.arange(k) - (k - 1) / 2 for k in n), indexing="ij")

    def ball(a, b, c, dx=0.0, dy=0.0, dz=0.0):
        return ((x - dx) / a) ** 2 + ((y - dy) / b) ** 2 + ((z - dz) / c) ** 2 <= 1

    labels = np.zeros(n, dtype=np.int16)
    labels[ball(56, 66, 57)], labels[ball(53, 63, 54)], labels[ball(48, 58, 49)] = 511, 515, 24
    for side, (cortex, white, ventricle) in ((-1, (3, 2, 4)), (1, (42, 41, 43))):
        half = side * x > 1
        labels[ball(45, 55, 46) & half] = cortex
        labels[ball(40, 50, 41) & half] = white
        labels[ball(6, 20, 7, 9 * side, 0, 6)] = ventricle
    labels[ball(3, 9, 6, 0, -3, -6)] = 14
    labels[ball(8, 8, 14, 0, -10, -26)] = 16
    return labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two label maps and two scans with masks."""
    folder = tmp_path_factory.mktemp("data")
    for number in (1, 2):
        labels = np.roll(_head(), number, axis=1)
        made.save(folder / f"maps/head-{number}_dseg.nii.gz", nib.Nifti1Image(labels, np.eye(4)))
    made.save(folder / "scans/a_ct.nii.gz", made.image())
    made.save(folder / "scans/a_seg.nii.gz", made.mask())
    made.save(folder / "scans/b_ct.nii.gz", made.image(bleeds=((-20, 0, 10),), seed=1))
    made.save(folder / "scans/b_seg.nii.gz", made.mask(at=(-20, 0, 10)))
    return folder


@pytest.fixture
def config(folder, tmp_path):
    """Return what writes a config beside the data."""
    paths = []

    def write(data, rest=""):
        path = folder / f"{tmp_path.name}-{len(paths)}.toml"
        path.write_text(data + NETWORK + rest)
        paths.append(path)
        return path

    return write


def _train(path, out_dir):
    return train_haemorrhage(path, out_dir, accelerator="cpu", threads=1, progress=False)


def _weights(folder):
    return load_checkpoint(folder)[0].state_dict()


def test_from_label_maps_it_is_the_training_that_the_library_does(folder, config, tmp_path):
    model, card = load_checkpoint(_train(config(MAPS), tmp_path / "out"), task="haemorrhage")
    maps = [io.load_img(folder / "maps/head-1_dseg.nii.gz").dataobj]
    synthesis = HaemorrhageSynthesis(
        [np.asarray(each) for each in maps], load_labels("haemorrhage"),
        shapes=[(16, 16, 16)], voxel_size=8.0, seed=0,
    )  # fmt: skip
    settings = tomllib.loads(NETWORK)
    with threads(1):  # the order of sums depends on how many there are
        plain, history = train_segmentation(
            settings["network"], synthesis, recipe=Recipe(**settings["recipe"]), n_an_epoch=3
        )
    for name, weights in plain.state_dict().items():
        assert torch.equal(model.state_dict()[name], weights.bfloat16().float())
    training, data = card["training"], card["data"]
    assert training["final_loss"] == history.train_loss[-1]
    assert training["images"] == "trained on simulation; no scan of a patient was seen"
    assert training["patients"]["healthy"] == 0.25
    assert training["scanner"]["hardening"] == 10.0
    assert set(data["label_maps"]) == {"head-1_dseg.nii.gz"}
    assert set(data["held_out"]) == {"head-2_dseg.nii.gz"}
    assert "scans" not in data
    segmenter = load_segmenter(tmp_path / "out" / "model", task="haemorrhage")
    assert segmenter.table.structures == synthesis.table.structures


def test_the_packages_recipe_has_the_settings_that_it_was_trained_with(tmp_path):
    text = train.recipe_text("haemorrhage")
    path = tmp_path / "haemorrhage.toml"
    path.write_text(text)
    for number in range(1, 21):
        io.save_text("a map", tmp_path / "labelmaps" / f"labelmap-{number:02}_dseg.nii.gz")
    training = load_haemorrhage_training(path)
    assert [each.name[9:11] for each in training.held_out] == ["05", "10", "15", "20"]
    assert len(training.label_maps) == 16
    assert training.start.name == "brain"
    assert training.start == resources.files("brainnet.models.voxel") / "weights" / "brain"
    settings = training.synthesis
    assert settings.shapes == [[64, 80, 64]] * 5 + [[80, 96, 80]]
    assert (settings.voxel_size, settings.n_an_epoch, settings.balance) == (2.0, 100, 0.25)
    assert training.recipe == Recipe(
        n_epochs=209, learning_rate=1e-3, weight_decay=1e-2, schedule="cosine", warmup=0.03,
        clip=5.0, average=0.998, precision="bf16-mixed", seed=3,
    )  # fmt: skip
    brain = io.load_json(training.start / "card.json")["network"]
    outputs = {"out_channels": brain["options"]["out_channels"]}
    assert brain["options"] == training.network["options"] | outputs
    plain = HaemorrhageSynthesis.__init__.__kwdefaults__
    assert plain["patients"] is plain["scanner"] is None
    # rare kinds and shifts are trained on more often than they are met
    assert training.patients == Patients(swelling=0.6, kinds=(0.2, 0.12, 0.3, 0.28, 0.1))
    assert training.scanner == CTScanner()
    assert (training.loss.side_weight, training.loss.midline) == (1.0, 8.0)
    assert all(training.texts.values())
    assert train.command(["haemorrhage", "--print-recipe"]) == 0


@pytest.mark.parametrize("data", [SCANS, BOTH])
def test_trains_on_scans_of_patients(config, tmp_path, data):
    path = config(data + BINARY)
    model, card = load_checkpoint(_train(path, tmp_path / "one"), task="haemorrhage")
    told, held = card["data"]["scans"], data == BOTH
    assert told["n_scans"] == told["n_masks"] == (1 if held else 2)
    assert len(told["held_out"]) == held
    assert told["meanings"] == {"1": ["haemorrhage of unknown kind"]}
    assert card["training"]["images"].startswith(f"{told['n_scans']} scans of patients")
    assert "a_ct" not in str(card)  # no name of a patient
    if not held:
        again = _weights(_train(path, tmp_path / "two"))
        assert all(torch.equal(each, again[name]) for name, each in model.state_dict().items())
    record = io.load_json(tmp_path / "one" / "training.json")
    assert "a_ct.nii.gz" in record["scans"]["images"]


def test_trains_on_what_slices_show(folder, config, tmp_path):
    made.save(folder / "bare/x_ct.nii.gz", made.image())
    rows = "".join(f"x,{number},{int(17 <= number <= 23)}\n" for number in range(1, 37))
    (folder / "slices.csv").write_text("scan,slice,intraparenchymal\n" + rows)
    data = '[data]\nscans = "bare"\nlabels_of_slices = "slices.csv"\n'
    card = load_checkpoint(_train(config(data), tmp_path / "out"))[1]
    told = card["data"]["scans"]
    assert (told["n_scans"], told["n_masks"]) == (1, 0)
    assert told["labels_of_slices"] == io.sha256(folder / "slices.csv")


def test_says_what_it_saw_and_what_it_started_from_saw(config, tmp_path):
    first = _train(config(SCANS), tmp_path / "first")
    scans = load_haemorrhage_training(config(SCANS, f'[start]\nmodel = "{first}"\n')).record()
    brain = load_haemorrhage_training(config(MAPS, '[start]\nmodel = "brain"\n')).record()
    maps = load_haemorrhage_training(config(MAPS)).record()
    later = {"data": {}, "training": {"images": "no scan was seen", "start": scans["start"]}}
    bare = {"data": None, "training": None}
    table, run = load_labels("haemorrhage"), train.Run(History([1.0]), seconds=1.0)
    for record, said in (
        (scans, "2 scans of patients"),
        (maps, "no scan of a patient was seen"),
        (brain, "no scan of a patient was seen"),
        (maps | {"start": scans["start"]}, "it started from may have seen scans"),
        (maps | {"start": later}, "it started from may have seen scans"),
        (maps | {"start": bare}, "it started from may have seen scans"),
    ):
        assert said in haemorrhage_card(record, table, run, texts={})["training"]["images"]


def test_what_is_held_out_must_not_have_trained_the_start(config, tmp_path):
    first = _train(config(SCANS), tmp_path / "first")
    start = f'[start]\nmodel = "{first}"\n'
    with pytest.raises(DataError, match=r"held_out scan b_ct.nii.gz trained it") as caught:
        _train(config(BOTH, start), tmp_path / "second")
    assert caught.value.path == first


def test_another_training_in_the_folder_is_refused(folder, config, tmp_path):
    _train(config(SCANS), tmp_path / "out")
    for data, named in (
        (SCANS + "share_of_scans = 0.9\n", "scans.share"),
        (SCANS + BINARY + '2 = "anything"\n', "scans.meanings"),
        (SCANS + 'held_out = ["b"]\n', "scans.held_out"),
    ):
        with pytest.raises(DataError, match=named):
            _train(config(data), tmp_path / "out")
    with pytest.raises(DataError, match=r"patients.healthy"):
        _train(config(SCANS, "[patients]\nhealthy = 0.5\n"), tmp_path / "out")


@pytest.mark.parametrize(
    ("data", "rest", "problem"),
    [
        ("[data]\n", "", r"\[data\] label_maps.* must all be set.*train haemorrhage --print"),
        ('[data]\nlabel_maps = "map"\n', "", r"no \*_dseg.nii.gz in it"),
        (SCANS + 'layout = "pair"\n', "", r"\[data\] layout is 'pair'. Did you mean pairs"),
        (MAPS + 'layout = "pairs"\n', "", r"\[data\] layout is set, and \[data\] scans is not"),
        (SCANS + "share_of_scans = 0.0\n", "", r"share_of_scans must be in \(0, 1\]; got 0"),
        (SCANS + "share_of_scans = 2\n", "", r"share_of_scans must be in \(0, 1\]; got 2"),
        (SCANS + 'held_out = ["c"]\n', "", "held_out names 'c', which is not in the scans"),
        (SCANS + 'held_out = ["a", "b"]\n', "", "held_out names every scan"),
        (SCANS + '[data.labels]\none = "anything"\n', "", "'one' is not a number in a mask"),
        (SCANS + '[data.labels]\n1 = "bleeding"\n', "", r"\[data.labels\] 1: .*got 'bleeding'"),
        (SCANS + "[data.labels]\n1 = []\n", "", r"\[data.labels\] 1: .*got none"),
        (SCANS + "[data.labels]\n1 = 3\n", "", r"\[data.labels\] 1"),
        (SCANS + '[data.labels]\n0 = "anything"\n', "", "no number but 0"),
        (SCANS + '[data.labels]\n2 = "anything"\n', "", "holds 1, and only 0, 2 have a meaning"),
        ('[data]\nscans = "scan"\n', "", "no such folder"),
        ('[data]\nscans = "maps"\n', "", "no NIfTI image in it"),
        (SCANS + 'labels_of_slices = "no.csv"\n', "", "no.csv"),
        (MAPS, "[patients]\nhealthy = 2.0\n", r"\[patients\] healthy must be in \[0, 1\]"),
        (MAPS, "[patients]\nkinds = [1.0]\n", r"\[patients\] kinds must be 5 weights"),
        (MAPS, '[patients]\nkinds = ["a"]\n', r"\[patients\]"),
        (MAPS, "[patients]\nill = 1.0\n", r"\[patients\] has no 'ill'"),
        (MAPS, "[scanner]\nnoise = -1.0\n", r"\[scanner\] noise must be 0 or more"),
        (MAPS, '[start]\nmodel = "brian"\n', "brian"),
    ],
)
def test_a_mistake_in_the_config_is_named(config, tmp_path, data, rest, problem):
    with pytest.raises(DataError, match=problem):
        _train(config(data, rest), tmp_path / "out")
    assert not (tmp_path / "out" / "training.safetensors").exists()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("[[16, 16, 16]]", "[[16, 16]]", "shapes must be three whole numbers"),
        ("[[16, 16, 16]]", "[]", "shapes must be one or more"),
        ("n_an_epoch = 3", 'n_an_epoch = 3\ncontrasts = ["T1w"]', "has no 'contrasts'"),
        ("voxel_size = 8.0", "voxel_size = 0.0", "voxel_size must be above 0"),
    ],
)
def test_a_mistake_in_what_is_synthesised_is_named(config, tmp_path, old, new, problem):
    path = config(MAPS)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=problem) as caught:
        _train(path, tmp_path / "out")
    assert caught.value.path == path


def test_a_label_map_without_a_skull_is_named(folder, config, tmp_path):
    bare = np.where(_head() > 500, 0, _head()).astype(np.int16)
    path = made.save(folder / "bare/y_dseg.nii.gz", nib.Nifti1Image(bare, np.eye(4)))
    with pytest.raises(DataError, match="brain in a skull") as caught:
        _train(config('[data]\nlabel_maps = "bare"\n'), tmp_path / "out")
    assert caught.value.path == path


def test_command_line(config, tmp_path, capsys):
    arguments = [str(config(SCANS)), str(tmp_path / "out"), "--accelerator=cpu", "--threads=1"]
    assert train.command(["haemorrhage", *arguments]) == 0
    assert f"model: {tmp_path / 'out' / 'model'}" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(config, tmp_path):
    path = config(BOTH)
    path.write_text(path.read_text().replace("n_epochs = 2", "n_epochs = 5"))
    whole, killed = whole_and_killed("haemorrhage", path, tmp_path, 5)
    ours, theirs = (_weights(each / "model") for each in (whole, killed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    losses = [io.load_table(each / "training.tsv")["loss/training"] for each in (whole, killed)]
    assert losses[0].equals(losses[1])


def test_kinds_that_are_joined_in_the_loss_are_told(config):
    joined = [["subdural haemorrhage", "epidural haemorrhage"]]
    training = load_haemorrhage_training(config(SCANS, f"[loss]\njoined = {joined}\n"))
    assert training.record()["loss"]["joined"] == joined
    assert [list(each) for each in training.loss.joined] == joined
    plain = load_haemorrhage_training(config(SCANS)).record()["loss"]
    assert not {"joined", "joined_weight", "midline"} & set(plain)
    near = load_haemorrhage_training(config(SCANS, "[loss]\nmidline = 2.0\n"))
    assert near.record()["loss"] == plain | {"midline": 2.0}
