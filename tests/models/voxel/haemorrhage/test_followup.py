"""A head scanned twice: moved by a known turn and shift, bled by known ml."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from brainnet.models.voxel.haemorrhage.followup import AnotherHead, align_by_skull, compare
from tests.models.voxel.haemorrhage import made_readings as made

MIDDLE = np.array([0.0, 0.0, 0.0])


def motion(degrees, shift, middle=MIDDLE):
    """A turn about an oblique axis through the middle, then a shift."""
    axis = np.array([1.0, 0.5, 1.0])
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(
        np.radians(degrees) * axis / np.linalg.norm(axis)
    ).as_matrix()
    matrix[:3, 3] = middle - matrix[:3, :3] @ middle + shift
    return matrix


@pytest.fixture(scope="module")
def head(shared_data):
    img = nib.as_closest_canonical(nib.load(shared_data / "labelmaps" / "labelmap-02_dseg.nii.gz"))
    label_map = np.asarray(img.dataobj).astype(np.int16)
    return label_map, img.affine, apply_affine(img.affine, np.array(label_map.shape) / 2)


@pytest.fixture(scope="module")
def first(head):
    """5 ml in the left putamen, 1 ml in the right frontal lobe, 0.6 ml in the left parietal."""
    label_map, affine, _ = head
    return made.reading(label_map, affine, balls(head, 5.0, others=(1.0, 0.6)))


def balls(head, ml, *, others=(), ventricle=0.0):
    label_map, affine, _ = head
    putamen = apply_affine(affine, np.argwhere(label_map == 12).mean(axis=0))
    places = [putamen + np.array(each) for each in ((55, 35, 25), (-5, -60, 40))]
    found = [("intraparenchymal", putamen, ml)]
    found += [
        ("intraparenchymal", place, each) for place, each in zip(places, others, strict=False)
    ]
    if ventricle:
        where = apply_affine(affine, np.argwhere(label_map == 43).mean(axis=0))
        found.append(("intraventricular", where, ventricle))
    return found


@pytest.fixture(scope="module")
def second(head):
    """After a turn by 8 degrees and a shift by 10 mm, in slices of 4 mm: 9 ml, 1 ml, new ones."""
    label_map, affine, middle = head
    found = balls(head, 9.0, others=(1.0,), ventricle=1.5)
    moved = motion(8, (6, -7, 4), middle)
    return made.reading(label_map, affine, found, matrix=moved, voxels=(1, 1, 4), seed=1), moved


@pytest.fixture(scope="module")
def found(first, second):
    return compare(first, second[0])


def test_the_pose_is_found_within_a_millimetre_and_a_degree(head, second, found):
    _, _, middle = head
    whole = second[1] @ np.array(found["registration"]["matrix"])  # there and back again
    assert np.linalg.norm(apply_affine(whole, middle) - middle) < 1
    assert np.degrees(Rotation.from_matrix(whole[:3, :3]).magnitude()) < 1
    assert found["registration"]["turned_deg"] == pytest.approx(8, abs=0.5)
    assert found["registration"]["residual_mm"] < 1.8


def test_growth_is_told_in_ml_for_the_haemorrhage_that_grew(found):
    grown = found["lesions"][0]
    assert (grown["first"], grown["second"], grown["status"]) == ([1], [1], "grown")
    assert grown["change"] == pytest.approx(4, rel=0.05)
    assert grown["percent"] == pytest.approx(80, rel=0.05)
    by_status = {each["status"]: each for each in found["lesions"]}
    assert by_status["steady"]["first"] == [2]
    assert by_status["gone"]["before"] == pytest.approx(0.6, rel=0.05)
    assert by_status["new"]["kind"] == "intraventricular"
    assert len(found["lesions"]) == 4


def test_expansion_by_the_usual_definitions(found):
    # 6.6 ml, then 10 ml: more than a third; 1.5 ml in a ventricle that had none
    assert found["expansion"]["intraparenchymal"] is True
    assert found["expansion"]["new_intraventricular"] is True
    assert found["expansion"]["any"] is True
    assert found["volumes_ml"]["total"]["change"] == pytest.approx(4.9, rel=0.05)
    assert any("Expansion by the usual definition" in each for each in found["summary"])
    assert any("slices of" in each for each in found["flags"])


def test_another_head_is_refused(first, shared_data):
    img = nib.as_closest_canonical(nib.load(shared_data / "labelmaps" / "labelmap-03_dseg.nii.gz"))
    other = made.reading(np.asarray(img.dataobj).astype(np.int16), img.affine)
    with pytest.raises(AnotherHead, match="one patient"):
        compare(first, other)


def test_a_scan_without_bone_is_refused(first):
    soft = nib.Nifti1Image(np.clip(first.img.get_fdata(), None, 60).astype(np.float32),
                           first.img.affine)  # fmt: skip
    with pytest.raises(AnotherHead, match="with bone"):
        align_by_skull(first.img, soft)


def volumes(brain, ventricles, error=0.1):
    kinds = {"intraparenchymal": brain, "intraventricular": ventricles}
    return {
        kind: {"value": v, "low": (1 - error) * v, "high": (1 + error) * v}
        for kind, v in kinds.items()
    }


@pytest.mark.parametrize(
    ("before", "after", "in_brain", "in_ventricles"),
    [
        ((30, 0), (35.9, 0), False, False),  # below 6 ml and a third
        ((30, 0), (36.0, 0), True, False),
        ((3, 0), (4.0, 0), True, False),
        ((3, 0), (3.9, 0), False, False),
        ((20, 2), (20.0, 2.9), False, False),
        ((20, 2), (20.0, 3.0), False, True),
        ((20, 0), (20.0, 0.2), False, True),
        ((20, 5), (8.0, 0.0), False, False),
        ((0, 0), (7.0, 0.0), None, False),
    ],
)
def test_the_thresholds_of_expansion(before, after, in_brain, in_ventricles):
    from brainnet.models.voxel.haemorrhage import followup

    told = followup._expansion(followup._volumes(volumes(*before), volumes(*after)))
    assert told["intraparenchymal"] is in_brain
    assert told["intraventricular"] is in_ventricles
    assert told["any"] is bool(in_brain or in_ventricles)


def test_a_change_within_the_intervals_is_said_to_be():
    from brainnet.models.voxel.haemorrhage import followup

    for error, beyond in ((0.1, True), (0.3, False)):
        pair = volumes(3, 0, error), volumes(4.5, 0, error)
        found = followup._volumes(*pair)
        assert found["intraparenchymal"]["beyond_error"] is beyond
        assert followup._expansion(found)["beyond_error"] is beyond


def test_pieces_that_run_together_are_one_haemorrhage():
    from brainnet.models.voxel.haemorrhage import followup

    one, two = (np.zeros((20, 20, 20), dtype=np.int16) for _ in range(2))
    one[2:6, 5:9, 5:9], one[12:16, 5:9, 5:9], one[2:4, 16:18, 16:18] = 1, 2, 3
    two[2:16, 5:9, 5:9], two[2:4, 16:18, 16:18] = 1, 2
    blood = "intraparenchymal"
    seen = dict.fromkeys((1, 2, 3), True)
    sides = (
        followup._Side({1: blood, 2: blood, 3: blood}, {1: 1.0, 2: 1.0, 3: 0.1}, one, seen),
        followup._Side({1: blood, 2: "subdural"}, {1: 3.5, 2: 0.1}, two, seen),
    )
    assert followup._groups(sides) == [([1, 2], [1]), ([3], []), ([], [2])]
    told = followup._told(sides, [1, 2], [1])
    assert (told["status"], told["change"]) == ("grown", 1.5)
