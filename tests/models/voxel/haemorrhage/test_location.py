"""Where lesions lie, against structures that they were planted in."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet.models.voxel.haemorrhage.location import kinds_of, locate
from tests.models.voxel.haemorrhage import made_readings as made

#: FreeSurfer's numbers, compartment, side, ml of blood, mm that the midline is pushed further.
PLANTED = (
    ((12,), "deep", "left", 100, 0),
    ((49,), "deep", "right", 1, 0),
    ((10,), "deep", "left", 40, 15),
    ((46, 47), "cerebellum", "right", 10, 0),
    ((16,), "brain-stem", None, 2, 0),
    ((17,), "temporal lobe", "left", 20, 15),
)


def shared_head(shared_data, number):
    img = nib.as_closest_canonical(
        nib.load(shared_data / "labelmaps" / f"labelmap-{number:02d}_dseg.nii.gz")
    )
    return np.asarray(img.dataobj).astype(np.int16), img.affine


def middle_of(label_map, numbers):
    voxels = np.argwhere(np.isin(label_map, numbers))
    return voxels[np.abs(voxels - voxels.mean(axis=0)).sum(axis=1).argmin()]


def images(labels, lesions, affine):
    return Nifti1Image(labels, affine), Nifti1Image(lesions, affine)


@pytest.mark.slow
def test_lesions_planted_in_known_structures_of_heads_pushed_apart(shared_data):
    right, wrong = 0, []
    for number in (4, 9):
        head, affine = shared_head(shared_data, number)
        for numbers, compartment, side, ml, aside in PLANTED:
            labels, lesions = made.planted(head, middle_of(head, numbers), ml, aside=aside)
            place = locate(*images(labels, lesions, affine)).places[0]
            if place.compartment == compartment and side in (None, place.side):
                right += 1
            else:
                wrong.append((number, numbers, ml, place))
    assert right >= 0.9 * 2 * len(PLANTED), wrong


def test_the_template_is_where_the_deep_nuclei_are(shared_data):
    head, affine = shared_head(shared_data, 6)
    labels = made.in_table(head)
    found = locate(*images(labels, np.zeros_like(labels), affine))
    # centroids of Desikan-Killiany's table
    truth = {12: (-25.7, 0.3, -0.4), 51: (26.4, 2.5, -1.4), 10: (-11.2, -19.3, 6.4),
             49: (12.1, -17.6, 6.6), 16: (0.5, -30.4, -32.7)}  # fmt: skip
    assert not found.flags
    for number, place in truth.items():
        middle = nib.affines.apply_affine(affine, np.argwhere(head == number).mean(axis=0))
        there = nib.affines.apply_affine(found.matrix, middle)
        assert np.linalg.norm(there - place) < 8, number


def test_kinds_around_and_in_hollow_places_in_any_orientation(label_map):
    labels = made.in_table(label_map)
    lesions = np.zeros_like(labels)
    x, y, z = (np.arange(n) - (n - 1) / 2 for n in labels.shape)
    left_side = (x < -55)[:, None, None] & (np.abs(y) < 30)[None, :, None] & (z > 0)
    subdural = left_side & (labels == 6)
    labels[subdural], lesions[subdural] = 14, 1
    hollow = (labels == 4) & (y < 0)[None, :, None]
    labels[hollow], lesions[hollow] = 12, 2
    putamen = (label_map == 12) & (np.abs(y - 6) < 8)[None, :, None]
    labels[putamen], lesions[putamen] = 11, 3
    affine = np.eye(4)
    affine[:3, 3] = [each[0] for each in (x, y, z)]
    for turn in (False, True):
        pair = images(labels, lesions, affine)
        if turn:
            pair = tuple(each.as_reoriented([[1, -1], [0, 1], [2, -1]]) for each in pair)
        one, two, three = locate(*pair).places
        assert (one.kind, one.side, one.compartment) == ("subdural", "left", "extra-axial")
        assert one.region.startswith("over left ")
        assert (two.kind, two.side, two.region) == (
            "intraventricular", "right", "right lateral ventricle",
        )  # fmt: skip
        assert three.side == "left"
        assert three.compartment in ("deep", "insula")  # the head is no real one
        assert sum(three.shares.values()) == pytest.approx(1, abs=1e-6)
        assert list(three.shares.values()) == sorted(three.shares.values(), reverse=True)


def test_a_lesion_across_the_midline_lies_on_both_sides(label_map):
    labels = made.in_table(label_map)
    labels, lesions = made.planted(label_map, np.array(label_map.shape) // 2 + [0, 40, 10], 20)
    place = locate(*images(labels, lesions, np.eye(4))).places[0]
    assert place.side == "both"


def test_nothing_to_align_is_told_and_not_raised():
    empty = np.zeros((40, 40, 40), dtype=np.int16)
    found = locate(*images(empty, empty, np.eye(4)))
    assert found.places == ()
    assert "does not align" in found.flags[0]


def test_images_of_two_grids_and_lesions_without_blood_are_refused():
    labels = np.ones((10, 10, 10), dtype=np.int16)
    with pytest.raises(ValueError, match="grid of labels_img"):
        locate(Nifti1Image(labels, np.eye(4)), Nifti1Image(labels[:5], np.eye(4)))
    with pytest.raises(ValueError, match="lesion 7 has none"):
        kinds_of(labels, 7 * labels)


def test_a_lesion_is_of_the_kind_of_most_of_its_voxels():
    labels = np.array([11, 12, 12, 13, 1, 16])
    assert kinds_of(labels, np.array([3, 3, 3, 5, 0, 0])) == {
        3: "intraventricular", 5: "subarachnoid",
    }  # fmt: skip
