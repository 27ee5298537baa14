"""Scans of patients reach the network as they are, and what is known of them with them."""

import nibabel as nib
import numpy as np
import pytest
import torch

from brainnet.io import DataError
from brainnet.models.voxel.haemorrhage.datasets import UNKNOWN_KIND, Case, Dataset
from brainnet.models.voxel.haemorrhage.mixed import MixedLoss, MixedSamples
from brainnet.models.voxel.haemorrhage.scan import brightness
from brainnet.models.voxel.haemorrhage.scans import (
    PatientScans,
    _sampled,
    members_of,
    prepare_scan,
)
from brainnet.models.voxel.haemorrhage.slice_labels import KINDS, SliceLabels
from brainnet.models.voxel.labels import load_labels
from brainnet.models.voxel.losses import SegmentationLoss
from tests.models.voxel.haemorrhage import made_scans as made

TABLE = load_labels("haemorrhage")
SIZE = 4.0
BLOOD = set(members_of([UNKNOWN_KIND], TABLE))
EVERYTHING = set(range(1 + TABLE.n_structures))
VOLUME = 4 / 3 * np.pi * 14.0**3  # mm3 of the ball


def _case(folder, mask=None, labels=None, img=None):
    image = made.save(folder / "head_ct.nii.gz", img or made.image())
    if mask is not None:
        mask = made.save(folder / "head_seg.nii.gz", mask)
    return Case("head", image, mask, labels)


def _prepared(folder, *, meanings=None, by_index=False, **options):
    case = _case(folder, **options)
    dataset = Dataset((case,), meanings or {1: (UNKNOWN_KIND,)}, by_index)
    return prepare_scan(case, dataset, TABLE, voxel_size=SIZE)


def _sets(scan):
    return [set(each.nonzero().flatten().tolist()) for each in scan.sets]


def _labels(rows, whole=False):
    return SliceLabels(np.array(rows, dtype=float), whole)


def test_a_mask_of_unknown_kind_says_blood_and_the_rest_says_no_blood(tmp_path):
    scan = _prepared(tmp_path, mask=made.mask())
    assert _sets(scan) == [EVERYTHING - BLOOD, BLOOD]
    shares = scan.shares.double() / 255
    assert float(shares[1].sum()) * SIZE**3 == pytest.approx(VOLUME, rel=0.05)
    inside = shares[1] > 0.99
    units = scan.units.double() / 8 - 1024
    assert float(units[inside].mean()) == pytest.approx(made.BLOOD, abs=3)
    assert float(units[shares[0] == 1].max()) > 900
    total = shares.sum(dim=0)
    assert float((total - 1).abs()[total > 0].max()) < 0.01
    assert (total == 0).any()  # outside the scan nothing is known


@pytest.mark.parametrize("turned", [((0, -1), (1, 1), (2, 1)), ((2, 1), (0, -1), (1, 1))])
def test_however_a_scan_is_stored_its_blood_is_where_it_is(tmp_path, turned):
    def stored(img):
        return img.as_reoriented(np.array(turned, dtype=float))

    scan = _prepared(tmp_path, img=stored(made.image()), mask=stored(made.mask()))
    straight = _prepared(tmp_path / "b", mask=made.mask())
    assert scan.units.shape == straight.units.shape
    assert torch.allclose(scan.shares.float(), straight.shares.float(), atol=3)


def test_numbers_mean_what_they_are_said_to(tmp_path):
    x = made.places()[0]
    numbers = made.mask().get_fdata() + 8 * (made.mask(at=(-30, 0, 0)).get_fdata() > 0)
    numbers[(numbers == 1) & (x > made.BLEED[0])] = 2
    mask = nib.Nifti1Image(numbers.astype(np.uint8), made.affine())
    meanings = {
        1: ("intraparenchymal haemorrhage", "intraventricular haemorrhage"),
        2: ("perihaematomal oedema",),
        8: ("anything",),
    }
    scan = _prepared(tmp_path, mask=mask, meanings=meanings)
    either = set(members_of(meanings[1], TABLE))
    oedema = set(members_of(meanings[2], TABLE))
    # 0 is nothing that has a number of its own, and no blood
    assert _sets(scan) == [EVERYTHING - BLOOD - oedema, either, oedema, EVERYTHING]


def test_slices_say_which_kinds_a_mask_may_be(tmp_path):
    heights = np.flatnonzero(made.ball(made.BLEED, 14.0).any(axis=(0, 1)))
    rows = np.zeros((made.SHAPE[2], 6))
    rows[heights, KINDS.index("subdural")] = rows[heights, -1] = 1
    rows[heights[0], KINDS.index("epidural")] = 1  # of two kinds
    rows[heights[1]] = np.nan  # nobody looked
    rows[heights[2]] = 0  # outlined all the same
    rows[0, -1] = 1  # shown, and not outlined
    scan = _prepared(tmp_path, mask=made.mask(), labels=_labels(rows))
    subdural, epidural = (members_of([f"{kind} haemorrhage"], TABLE)[0]
                          for kind in ("subdural", "epidural"))  # fmt: skip
    found = _sets(scan)
    assert found[0] == EVERYTHING - BLOOD
    assert {frozenset(each) for each in found[1:]} == {
        frozenset(BLOOD), frozenset({subdural}), frozenset({subdural, epidural}),
        frozenset(EVERYTHING),
    }  # fmt: skip
    share = {frozenset(each): float(part.double().sum() / 255) * SIZE**3
             for each, part in zip(found, scan.shares, strict=True)}  # fmt: skip
    of_slices = made.ball(made.BLEED, 14.0).sum(axis=(0, 1)) * np.prod(made.SIZES)
    assert share[frozenset({subdural})] == pytest.approx(of_slices[heights[3:]].sum(), rel=0.05)
    assert share[frozenset({subdural, epidural})] == pytest.approx(of_slices[heights[0]], rel=0.1)


def test_a_mask_that_lies_elsewhere_is_refused(tmp_path):
    moved = made.affine()
    moved[0, 3] += 2.0
    mask = nib.Nifti1Image(made.mask().get_fdata().astype(np.uint8), moved)
    with pytest.raises(
        DataError, match=r"a mask that lies 2.0 mm from its image head_ct"
    ) as caught:
        _prepared(tmp_path, mask=mask)
    assert caught.value.path.name == "head_seg.nii.gz"
    by_index = _prepared(tmp_path, mask=mask, by_index=True)
    straight = _prepared(tmp_path, mask=made.mask())
    assert torch.equal(by_index.shares, straight.shares)


def test_a_mask_of_another_shape_is_refused(tmp_path):
    mask = nib.Nifti1Image(np.ones((56, 68, 35), dtype=np.uint8), made.affine())
    for by_index in (False, True):
        with pytest.raises(DataError, match="56 x 68 x 35 voxels, and its image has 56 x 68 x 36"):
            _prepared(tmp_path, mask=mask, by_index=by_index)


@pytest.mark.parametrize(("value", "shown"), [(3, "3"), (0.5, "0.5")])
def test_a_number_without_a_meaning_is_refused(tmp_path, value, shown):
    mask = nib.Nifti1Image((value * made.ball(made.BLEED, 14.0)).astype(np.float32), made.affine())
    with pytest.raises(DataError, match=f"holds {shown}, and only 0, 1 have") as caught:
        _prepared(tmp_path, mask=mask)
    assert f"Say what {shown} is in [data.labels]" in str(caught.value)
    assert caught.value.path.name == "head_seg.nii.gz"


def test_a_meaning_that_is_no_structure_is_refused():
    for names, problem in ((["bleed"], "got 'bleed'"), ([], "got none")):
        with pytest.raises(ValueError, match=problem):
            members_of(names, TABLE)


def test_what_is_no_head_ct_is_refused(tmp_path):
    flat = nib.Nifti1Image(np.random.default_rng(0).normal(100, 20, made.SHAPE), made.affine())
    with pytest.raises(DataError, match="is no head CT") as caught:
        _prepared(tmp_path, img=flat, mask=made.mask())
    assert caught.value.path.name == "head_ct.nii.gz"


def test_labels_of_slices_that_there_are_not_are_refused(tmp_path):
    labels = _labels(np.zeros((37, 6)))
    with pytest.raises(DataError, match="has 36 slices, and slice 37 is labelled"):
        _prepared(tmp_path, labels=labels)


def test_a_voxel_knows_its_slice(tmp_path):
    rows = np.zeros((36, 6))
    flipped = np.array([(0, 1), (1, 1), (2, -1)], dtype=float)
    scan = _prepared(tmp_path, labels=_labels(rows))
    upside = _prepared(tmp_path / "b", img=made.image().as_reoriented(flipped),
                       labels=_labels(rows))  # fmt: skip
    middle = [n // 2 for n in scan.slices.shape[:2]]
    column = scan.slices[middle[0], middle[1]]
    there = column > 0
    assert (column[there].diff() >= 0).all()
    assert int(column.max() - column[there].min()) >= 30
    mirror = upside.slices[middle[0], middle[1]][there] + column[there]
    assert int((mirror - 37).abs().max()) <= 1  # of two slices as near either will do
    assert float(mirror.double().mean()) == pytest.approx(37, abs=0.3)
    whole = _prepared(tmp_path / "c", labels=_labels(rows[:1], whole=True))
    assert set(whole.slices.unique().tolist()) == {0, 1}
    assert whole.labels.shape == (1, 6)


def test_samples_are_always_the_same_and_show_blood_where_they_say(tmp_path):
    scan = _prepared(tmp_path, mask=made.mask())
    made_of = PatientScans([scan], TABLE, shapes=[(24, 32, 24)], seed=3)
    again = PatientScans([scan], TABLE, shapes=[(24, 32, 24)], seed=3)
    seen = 0
    for number in range(12):
        sample = made_of[number]
        assert all(torch.equal(each, again[number][name]) for name, each in sample.items())
        assert sample["image"].shape == (1, 24, 32, 24)
        assert 0 <= float(sample["image"].min()) <= float(sample["image"].max()) <= 1
        shares = sample["shares"]
        assert float(shares.sum(dim=0).max()) < 1.01
        blood = shares[1] > 0.95
        if blood.any():
            seen += 1
            brain = float(brightness(torch.tensor(33.0)))
            assert float(sample["image"][0][blood].mean()) > brain + 0.1
    assert seen > 6
    assert not torch.equal(made_of[0]["image"], made_of[1]["image"])


def test_a_scan_without_a_mask_is_seen_whole(tmp_path):
    rows = np.zeros((36, 6))
    scan = _prepared(tmp_path, labels=_labels(rows))
    sample = PatientScans([scan], TABLE, shapes=[(16, 16, 16)])[0]
    assert sample["image"].shape[1:] == sample["slices"].shape == scan.units.shape
    assert sample["labels"].shape == (36, 6)
    with pytest.raises(ValueError, match="scans must not be empty"):
        PatientScans([], TABLE, shapes=[(16, 16, 16)])


class _Synthesis:
    """Says which sample it was asked for."""

    table = TABLE

    def __getitem__(self, number):
        return {"image": torch.full((1, 2, 2, 2), float(number)), "structure": torch.zeros(1)}

    def shares(self):
        return torch.ones(3)


def test_a_share_of_the_samples_are_scans(tmp_path):
    scans = PatientScans([_prepared(tmp_path, mask=made.mask())], TABLE, shapes=[(16, 16, 16)])
    mixed = MixedSamples(scans, _Synthesis(), share=0.25, seed=1)
    real = [number for number in range(60) if "sets" in mixed[number]]
    assert 6 <= len(real) <= 26
    made_up = next(number for number in range(60) if number not in real)
    assert float(mixed[made_up]["image"].mean()) == made_up
    assert mixed.shares().tolist() == [1, 1, 1]
    only = MixedSamples(scans)
    assert all("sets" in only[number] for number in range(8))
    assert float(only.shares().sum()) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"share must be in \(0, 1\]; got 0"):
        MixedSamples(scans, share=0)


def test_each_batch_has_its_own_loss(tmp_path):
    whole = SegmentationLoss(TABLE)
    loss = MixedLoss(whole, TABLE, voxel_size=SIZE)
    assert loss.top == 2  # 100 mm3
    rows = np.full((36, 6), np.nan)
    rows[:, -1] = 0
    cases = {
        "sets": _prepared(tmp_path, mask=made.mask()),
        "slices": _prepared(tmp_path / "b", labels=_labels(rows)),
    }
    for name, scan in cases.items():
        sample = PatientScans([scan], TABLE, shapes=[(16, 16, 16)])[1]
        batch = {key: each[None] for key, each in sample.items()}
        assert name in batch
        logits = torch.zeros((1, TABLE.n_channels, *sample["image"].shape[1:]), requires_grad=True)
        value = loss(lambda _, logits=logits: logits, batch)
        value.backward()
        assert (logits.grad[:, -1] == 0).all()  # nobody said left or right
        bloods = [KINDS.index(kind) for kind in KINDS]
        assert torch.isfinite(value)
        grad = logits.grad[0, [loss.channels[each] for each in bloods]]
        assert torch.allclose(grad, grad[:1].expand_as(grad))  # no kind the likelier
        assert (grad > 0).any()


def test_a_network_learns_a_bleed_from_masks_of_unknown_kind(tmp_path):
    scan = _prepared(tmp_path, mask=made.mask())
    samples = PatientScans([scan], TABLE, shapes=[(16, 16, 16)])
    loss = MixedLoss(SegmentationLoss(TABLE), TABLE, voxel_size=SIZE)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.Sequential(
            torch.nn.Conv3d(1, 8, 3, padding=1), torch.nn.InstanceNorm3d(8, affine=True),
            torch.nn.ReLU(), torch.nn.Conv3d(8, TABLE.n_channels, 3, padding=1),
        )  # fmt: skip
    descent = torch.optim.Adam(network.parameters(), lr=2e-2)
    for number in range(200):
        batch = {key: each[None] for key, each in samples[number].items()}
        descent.zero_grad()
        loss(network, batch).backward()
        descent.step()
    inside, outside = [], []
    for sample in map(samples.__getitem__, range(1000, 1010)):
        with torch.no_grad():
            p = network(sample["image"][None])[0, : 1 + TABLE.n_structures].softmax(dim=0)
        blood = p[loss.channels].sum(dim=0)
        inside.append(blood[sample["shares"][1] > 0.9])
        outside.append(blood[sample["shares"][0] > 0.99])
    assert float(torch.cat(inside).mean()) > 0.4
    assert float(torch.cat(inside).mean()) > 10 * float(torch.cat(outside).mean())


def test_a_volume_looked_at_where_its_voxels_are_is_itself():
    volume = torch.rand((2, 5, 6, 7), generator=torch.Generator().manual_seed(0))
    axes = [torch.arange(float(n)) for n in volume.shape[1:]]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    assert torch.allclose(_sampled(volume, places), volume, atol=1e-5)
    beside = _sampled(volume, places + torch.tensor([1.0, 0, 0])[:, None, None, None])
    assert torch.allclose(beside[:, :-1], volume[:, 1:], atol=1e-5)
    assert (beside[:, -1] == 0).all()
