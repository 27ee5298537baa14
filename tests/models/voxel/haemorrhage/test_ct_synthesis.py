"""Synthesised head CT: the truth is where it says, and looks like what it is."""

import numpy as np
import pytest
import torch

from brainnet.models.voxel.draws import Draw
from brainnet.models.voxel.haemorrhage import bleeds as bleeds_module
from brainnet.models.voxel.haemorrhage import synthesis as synthesis_module
from brainnet.models.voxel.haemorrhage.anatomy import MARKS, TISSUES, anatomy_of
from brainnet.models.voxel.haemorrhage.bleeds import BLEEDS, grow
from brainnet.models.voxel.haemorrhage.quantities import midline_shift
from brainnet.models.voxel.haemorrhage.scan import HU_KNOTS, CTScanner, brightness
from brainnet.models.voxel.haemorrhage.scene import scene_of
from brainnet.models.voxel.haemorrhage.synthesis import HaemorrhageSynthesis, Patients
from brainnet.models.voxel.labels import load_labels

TABLE = load_labels("haemorrhage")
QUIET = CTScanner(spacing=0.0, blur=0.0, noise=0.0, hardening=0.0, offset=0.0)


@pytest.fixture(scope="module")
def head(label_map):
    return anatomy_of(label_map)


@pytest.fixture
def _made_once(head, monkeypatch):
    monkeypatch.setattr(synthesis_module, "anatomy_of", lambda _: head)


def _synthesis(label_map, **options):
    """Whole heads at 4 mm."""
    return HaemorrhageSynthesis(
        [label_map], TABLE, **{"shapes": [(44, 52, 44)], "voxel_size": 4.0} | options
    )


def _channel(name):
    return 1 + TABLE.structures.index(name)


def _lesions(structure):
    first = _channel("intraparenchymal haemorrhage")
    return structure[first : first + 5].sum(dim=0)


def test_tissues_of_a_head(head):
    tissue, marks = head.tissue_of[head.codes.long()], head.mark_of[head.codes.long()]
    share = {name: float((tissue == number).float().mean()) for number, name in enumerate(TISSUES)}
    assert all(share[name] > 0.001 for name in ("air", "compact bone", "grey", "white", "fluid"))
    inside = head.depth > 0
    assert not torch.isin(tissue[inside], torch.tensor([0, 3, 4])).any()
    x, y, z = (each / 2 for each in head.codes.shape)
    assert float(head.midline @ torch.tensor([1, y, z], dtype=torch.float64)) == pytest.approx(
        x - 0.5, abs=1
    )
    assert float(head.depth.max()) == pytest.approx(66, abs=2)
    for name in ("falx", "sinus", "choroid plexus", "pineal gland", "pallidum"):
        assert (marks == MARKS.index(name)).any()
    assert not ((marks > 0) & ~inside).any()


def test_spongy_bone_lies_between_the_tables(label_map):
    labels = np.where(label_map == 516, 507, label_map)  # as T1w makes it: fat
    found = anatomy_of(labels)
    spongy = found.tissue_of[found.codes.long()] == list(TISSUES).index("spongy bone")
    expected = np.pad(label_map, 1)
    assert spongy.float().sum() == pytest.approx(float((expected == 516).sum()), rel=0.2)


def test_no_head_is_refused(label_map):
    with pytest.raises(ValueError, match="a brain in a skull"):
        anatomy_of(np.where(label_map == 515, 0, label_map))
    with pytest.raises(ValueError, match="both halves"):
        anatomy_of(np.where(np.isin(label_map, (41, 42)), 24, label_map))


@pytest.mark.usefixtures("_made_once")
def test_a_sample_is_decided_by_its_number(label_map):
    synthesis = _synthesis(label_map)
    first = synthesis[3]
    torch.rand(5)
    for name, each in _synthesis(label_map)[3].items():
        assert torch.equal(each, first[name])
    assert not torch.equal(first["image"], synthesis[4]["image"])
    assert not torch.equal(first["image"], _synthesis(label_map, seed=1)[3]["image"])


@pytest.mark.usefixtures("_made_once")
def test_shares_are_shares_and_bleeding_is_inside_the_skull(label_map):
    synthesis = _synthesis(label_map, patients=Patients(healthy=0.0, several=0.5))
    for number in range(12):
        sample = synthesis[number]
        structure = sample["structure"]
        assert float(structure.min()) >= -1e-5
        torch.testing.assert_close(structure.sum(dim=0), torch.ones(44, 52, 44), atol=1e-4, rtol=0)
        left, right = ((each.sum(dim=(1, 2)) * torch.arange(44)).sum() / each.sum()
                       for each in sample["side"])  # fmt: skip
        assert left < right
        assert 0 <= float(sample["image"].min()) <= float(sample["image"].max()) <= 1
        bone = synthesis.patient(number)["units"] > 600
        assert (
            float((_lesions(structure) * bone).sum()) < 0.25 * float(_lesions(structure).sum()) + 1
        )


@pytest.mark.usefixtures("_made_once")
def test_the_healthy_have_none_and_look_alikes_are_none(label_map):
    synthesis = _synthesis(
        label_map, patients=Patients(healthy=1.0, look_alikes=1.0, contrast=0.0), scanner=QUIET
    )
    for number in range(3):
        found = synthesis.patient(number)
        assert float(_lesions(found["structure"]).sum()) == 0
        brain = found["structure"][_channel("brain")] > 0.99
        fluid = found["structure"][_channel("extracerebral CSF")] > 0.8
        assert float(found["units"][brain].median()) == pytest.approx(33, abs=8)
        assert float(found["units"][fluid].max()) > 40  # a dense falx, tentorium or sinus


@pytest.mark.usefixtures("_made_once")
@pytest.mark.parametrize("kind", list(BLEEDS))
def test_each_kind_grows_where_it_grows_and_is_as_dense_as_blood(label_map, kind):
    weights = tuple(float(each == kind) for each in BLEEDS)
    patients = Patients(healthy=0.0, several=0.0, kinds=weights, look_alikes=0.0, contrast=0.0)
    synthesis = _synthesis(label_map, patients=patients, scanner=QUIET)
    volumes, units = [], []
    for number in range(8):
        found = synthesis.patient(number)
        share = found["structure"][_channel(f"{kind} haemorrhage")]
        volumes.append(float(share.sum()) * 0.064)
        if (share > 0.9).any():
            units.append(float(found["units"][share > 0.9].mean()))
    assert max(volumes) > 3
    assert max(volumes) < 400
    assert sum(each > 0.05 for each in volumes) >= 5
    if kind in ("intraparenchymal", "epidural", "intraventricular"):
        assert 40 < np.mean(units) < 90


def _scene(head, seed=0):
    draw = Draw(seed, 0, torch.device("cpu"))
    scene = scene_of(
        head, (44, 52, 44), voxel_size=4.0, middle=head.centre, draw=draw, rotation=0.0,
        scaling=0.0, warp=0.0,
    )  # fmt: skip
    return scene, draw


def test_what_lies_below_the_skull_stays_on_its_side(head):
    for seed in range(60):
        scene, draw = _scene(head, seed)
        bleed = grow("subdural", scene, draw)
        inside = (bleed.level < 0) & (scene.depth > 0)
        if inside.any():
            sides = scene.away[inside]
            assert float((sides > 0).float().mean()) in (0.0, 1.0)


def test_subarachnoid_blood_starts_in_fluid_and_not_at_the_vertex(head, monkeypatch):
    starts, chosen = [], bleeds_module._somewhere

    def spy(where, draw):
        starts.append((where, scene))
        return chosen(where, draw)

    monkeypatch.setattr(bleeds_module, "_somewhere", spy)
    for seed in range(10):
        scene, draw = _scene(head, seed)
        grow("subarachnoid", scene, draw)
    assert 1 <= len(starts) <= 7  # the others start below the brain
    top = float((head.depth > 0).nonzero()[:, 2].max())
    for where, its_scene in starts:
        assert where.any()
        assert bool((its_scene.labels[where] == 24).all())
        assert float(its_scene.places[2][where].max()) < top - 10


@pytest.mark.usefixtures("_made_once")
def test_a_haemorrhage_pushes_the_midline_away_from_its_side(label_map):
    weights = tuple(float(each == "epidural") for each in BLEEDS)
    patients = Patients(healthy=0.0, several=0.0, kinds=weights, look_alikes=0.0, contrast=0.0)
    synthesis = _synthesis(label_map, patients=patients, voxel_size=3.0, shapes=[(58, 68, 58)])
    pushed = []
    for number in range(16):
        found = synthesis.patient(number)
        share = found["structure"][_channel("epidural haemorrhage")]
        if float(share.sum()) * 0.027 < 40:
            continue
        left, right = (each.numpy() > 0.5 for each in found["side"])
        inside = found["structure"][1:].sum(dim=0).numpy() > 0.5
        shift = midline_shift(left, right, inside, (3.0, 3.0, 3.0))
        x = torch.arange(58) - 28.5
        of_side = float((share.sum(dim=(1, 2)) * x).sum())
        if shift.mm > 3:
            pushed.append((of_side > 0) == (shift.to == "left"))
    assert len(pushed) >= 2
    assert np.mean(pushed) > 0.8


def test_brightness_is_straight_between_knots_and_rises():
    units = torch.tensor([each for each, _ in HU_KNOTS])
    torch.testing.assert_close(brightness(units), torch.tensor([each for _, each in HU_KNOTS]))
    assert (brightness(torch.linspace(-150, 1500, 500)).diff() > 0).all()


@pytest.mark.parametrize(
    "options",
    [{"healthy": 1.2}, {"contrast": -0.1}, {"kinds": (1.0, 1.0)}, {"kinds": (0.0,) * 5}],
)
def test_shares_that_are_none_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        Patients(**options)
    with pytest.raises(ValueError, match="0 or more"):
        CTScanner(noise=-1.0)


def test_another_table_is_refused(label_map):
    with pytest.raises(ValueError, match="Load 'haemorrhage'"):
        HaemorrhageSynthesis([label_map], load_labels("brain"))
    with pytest.raises(ValueError, match="must not be empty"):
        HaemorrhageSynthesis([], TABLE)
