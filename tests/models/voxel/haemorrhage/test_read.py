"""A planted haemorrhage is found, outlined on the scan's grid, measured and told in words."""

import json
import math

import nibabel as nib
import numpy as np
import pytest

from brainnet.imaging.hounsfield import NotACT
from brainnet.models.voxel.haemorrhage.read import outline_ct, read_ct
from tests.models.voxel.haemorrhage import toy_ct as toy

OEDEMA = "perihaematomal oedema"
IPH, SDH = "intraparenchymal haemorrhage", "subdural haemorrhage"
BALL = 4 / 3 * math.pi * 15**3 / 1000  # ml


@pytest.fixture(scope="module")
def reading():
    img = toy.head([(IPH, (-32, 5, 10), 15.0)], spacing=(1.0, 1.0, 3.0), noise=2.0)
    return img, read_ct(img, toy.segmenter())


def test_images_lie_on_the_grid_of_the_scan(reading):
    img, found = reading
    for each in (found.img, found.labels_img, found.lesions_img, found.probability_img):
        assert each.shape == img.shape
        np.testing.assert_allclose(each.affine, img.affine)
    assert found.labels_img.get_data_dtype() == found.lesions_img.get_data_dtype() == np.int16
    share = np.asarray(found.probability_img.dataobj)
    assert 0 <= share.min() < 0.01 < 0.99 < share.max() <= 1


def test_the_outline_is_that_of_what_was_planted(reading):
    img, found = reading
    truth = np.abs(img.get_fdata() - 65) < 12
    labels = np.asarray(found.labels_img.dataobj)
    mask = labels == 11
    dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
    assert dice > 0.93
    np.testing.assert_array_equal(mask, np.asarray(found.lesions_img.dataobj) == 1)
    assert (np.asarray(found.probability_img.dataobj)[mask] > 0.5).all()
    assert {1, 2, 3, 4, 6} <= set(np.unique(labels).tolist())


def test_numbers_are_those_of_what_was_planted(reading):
    findings = reading[1].findings
    json.dumps(findings, allow_nan=False)
    assert findings["haemorrhage"]["present"]
    total, own = (findings["volumes_ml"][each] for each in ("total", "intraparenchymal"))
    assert total == own
    assert own["value"] == pytest.approx(BALL, rel=0.05)
    assert own["low"] < BALL < own["high"]
    assert findings["volumes_ml"]["subdural"]["value"] == 0
    (lesion,) = findings["lesions"]
    assert (lesion["kind"], lesion["side"]) == ("intraparenchymal", "left")
    np.testing.assert_allclose(lesion["centre_mm"], (-32, 5, 10), atol=1.5)
    abc = lesion["abc_over_2"]
    np.testing.assert_allclose((abc["a_mm"], abc["b_mm"]), 30, atol=2.5)
    assert lesion["density"]["mean_hu"] == pytest.approx(64, abs=3)
    assert lesion["irregularity"] < 0.1
    first, last = lesion["slices"]
    assert last - first + 1 == pytest.approx(10, abs=1)
    # skull at 66, 80, 68 mm: the nearest point of the ball lies about 20 mm below it
    assert lesion["depth_mm"] == pytest.approx(18, abs=4)


def test_words_say_what_where_and_how_much(reading):
    findings = reading[1].findings
    said = " ".join(findings["triage"])
    assert "intraparenchymal" in said
    assert "left" in said
    assert f"{findings['volumes_ml']['total']['value']:.0f} ml" in said
    assert any("Fractures" in each for each in findings["not_assessed"])


@pytest.mark.parametrize("axes", ["LPS", "PIR", "RAS"])
def test_a_turned_scan_says_the_same(reading, axes):
    img, found = reading
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(img.affine), nib.orientations.axcodes2ornt(axes)
    )
    turned = read_ct(img.as_reoriented(turn), toy.segmenter()).findings
    (one,), (other,) = found.findings["lesions"], turned["lesions"]
    assert one["side"] == other["side"]
    assert other["volume_ml"]["value"] == pytest.approx(one["volume_ml"]["value"], rel=0.02)
    np.testing.assert_allclose(other["centre_mm"], one["centre_mm"], atol=0.5)
    one_abc, other_abc = (each["abc_over_2"]["volume_ml"] for each in (one, other))
    assert other_abc == pytest.approx(one_abc, rel=0.05)


def test_a_scan_without_blood_stays_empty():
    found = read_ct(toy.head(noise=2.0), toy.segmenter())
    assert not np.asarray(found.lesions_img.dataobj).any()
    findings = found.findings
    assert not findings["haemorrhage"]["present"]
    assert findings["lesions"] == []
    assert findings["volumes_ml"]["total"]["value"] == 0
    assert findings["midline_shift"]["mm"] < 1
    assert findings["ventricles"]["evans_index"] == pytest.approx(38 / 132, abs=0.04)
    assert findings["triage"][0].startswith("No haemorrhage")


def test_two_kinds_are_two_haemorrhages():
    img = toy.head([(IPH, (-32, 5, 10), 14.0), (SDH, (40, 0, 15), 10.0)])
    lesions = read_ct(img, toy.segmenter()).findings["lesions"]
    assert [(each["kind"], each["side"]) for each in lesions] == [
        ("intraparenchymal", "left"), ("subdural", "right"),
    ]  # fmt: skip


def test_oedema_is_what_lies_around_blood_in_the_brain(monkeypatch):
    monkeypatch.setitem(toy.UNITS, OEDEMA, 23.0)
    defect, around = (OEDEMA, (32, -10, 10), 12.0), (OEDEMA, (-32, 5, 10), 20.0)
    found = read_ct(toy.head([around, (IPH, (-32, 5, 10), 14.0), defect]), toy.segmenter())
    swollen = np.asarray(found.labels_img.dataobj) == 16
    at = nib.affines.apply_affine(found.labels_img.affine, np.argwhere(swollen))
    # partial volume beside the ventricles looks like oedema as well
    assert np.linalg.norm(at - (-32, 5, 10), axis=1).max() < 23
    truth = 4 / 3 * math.pi * (20**3 - 14**3) / 1000
    assert swollen.sum() * 8 / 1000 == pytest.approx(truth, rel=0.15)
    assert found.findings["volumes_ml"]["oedema"]["value"] == pytest.approx(truth, rel=0.15)
    empty = read_ct(toy.head([defect]), toy.segmenter())
    assert empty.findings["volumes_ml"]["oedema"]["value"] == 0
    assert not (np.asarray(empty.labels_img.dataobj) == 16).any()


def test_what_the_card_says_is_unlikely_is_left_out():
    img = toy.head([(IPH, (-32, 5, 10), 12.0)])
    doubting = toy.segmenter(judgement={"lesion": [-20.0, 0.5, 1.0], "least": 0.5})
    outlined = outline_ct(img, doubting)
    assert not outlined.pieces
    assert outlined.left_out[0].volume_ml == pytest.approx(4 / 3 * math.pi * 1.2**3, rel=0.1)
    assert outlined.probability < 0.1


def test_mr_is_refused():
    rng = np.random.default_rng(0)
    mr = nib.Nifti1Image(rng.gamma(2, 100, (60, 60, 60)).astype(np.float32), np.eye(4) * 3)
    with pytest.raises(NotACT, match="Hounsfield"):
        read_ct(mr, toy.segmenter())
