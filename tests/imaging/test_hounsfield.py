"""Head CT told from what is none; numbers repaired; what a reader has to know flagged."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet.imaging.hounsfield import NotACT, _rescaled, check_ct


def phantom(spacing=(2.0, 2.0, 2.0), noise=4.0, seed=0):
    """Air, scalp, a skull of 5 mm and a brain of 1.2 l with ventricles, in Hounsfield units."""
    n = [round(extent / step) for extent, step in zip((180, 210, 190), spacing, strict=True)]
    x, y, z = np.meshgrid(
        *((np.arange(k) - (k - 1) / 2) * s for k, s in zip(n, spacing, strict=True)), indexing="ij"
    )

    def ball(a, b, c):
        return (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 <= 1

    units = np.full(n, -1000.0, dtype=np.float32)
    for axes, value in (((78, 92, 80), 20), ((71, 85, 73), 1100), ((66, 80, 68), 8),
                        ((62, 76, 64), 32), ((12, 30, 10), 6)):  # fmt: skip
        units[ball(*axes)] = value
    return units + np.random.default_rng(seed).normal(0, noise, n).astype(np.float32)


def image(units, spacing=(2.0, 2.0, 2.0), dtype=np.float32):
    img = Nifti1Image(units.astype(dtype), np.diag([*spacing, 1.0]))
    img.set_qform(img.affine, 1)
    img.set_sform(img.affine, 1)
    return img


@pytest.fixture(scope="module")
def head():
    return phantom()


def test_a_sound_head_is_left_as_it_is(head):
    found = check_ct(image(head))
    assert found.repairs == found.flags == ()
    assert found.brain_ml == pytest.approx(1290, rel=0.15)
    np.testing.assert_allclose(found.img.get_fdata(), np.clip(head, -1024, None), atol=1e-3)


@pytest.mark.parametrize("value", [-3024, -2000, -2048])
def test_padding_is_taken_for_air(head, value):
    padded = head.copy()
    padded[:6] = padded[-6:] = value
    found = check_ct(image(padded, dtype=np.int16))
    assert len(found.repairs) == 1
    assert f"padding of {value}" in found.repairs[0]
    assert found.img.get_fdata().min() >= -1024
    assert found.flags == ()


def test_a_lost_intercept_is_found(head):
    stored = np.clip(head + 1024, 0, None)
    found = check_ct(image(stored, dtype=np.uint16))
    assert "rescale intercept" in found.repairs[0]
    np.testing.assert_allclose(found.img.get_fdata()[45, 80, 47], head[45, 80, 47], atol=1)


def test_what_is_not_finite_is_taken_for_air(head):
    broken = head.copy()
    broken[0] = np.nan
    broken[1] = np.inf
    found = check_ct(image(broken))
    assert "not finite" in found.repairs[0]
    assert np.isfinite(found.img.get_fdata()).all()


def test_much_bone_without_air_is_no_lost_intercept():
    units = np.clip(phantom(), -150, None)
    rng = np.random.default_rng(0)
    units = np.where(units > 0, rng.uniform(950, 1450, units.shape), units)
    assert _rescaled(units.astype(np.float32))[1] == []


def test_any_orientation_gives_the_same():
    spacing = (2.0, 2.0, 4.0)
    img = image(phantom(spacing), spacing)
    for codes in ("LPS", "PIR", "SAL"):
        other = img.as_reoriented(
            nib.orientations.ornt_transform(
                nib.orientations.io_orientation(img.affine),
                nib.orientations.axcodes2ornt(codes),
            )
        )
        found = check_ct(other)
        assert found.brain_ml == pytest.approx(check_ct(img).brain_ml, rel=0.03)
        assert found.flags == ()
        np.testing.assert_array_equal(found.img.affine, other.affine)


def test_thick_slices_are_fine():
    spacing = (0.9, 0.9, 5.0)
    found = check_ct(image(phantom(spacing), spacing))
    assert found.flags == ()
    assert found.brain_ml == pytest.approx(1290, rel=0.15)


def test_mr_in_disguise_is_refused(head):
    mr = np.select([head < -500, head > 300, head < 14, head < 25], [0, 30, 200, 900], 600.0)
    noise = np.abs(np.random.default_rng(0).normal(0, 20, mr.shape))
    with pytest.raises(NotACT, match="Is it MR"):
        check_ct(image(mr + noise))
    with pytest.raises(NotACT):
        check_ct(image(mr + noise - 1000))


def test_grey_values_are_refused(head):
    window = np.clip((head + 20) / 120, 0, 1) * 255
    with pytest.raises(NotACT, match="of a window or of 8 bits"):
        check_ct(image(window, dtype=np.uint8))


def test_a_body_without_a_skull_is_refused(head):
    body = np.where(head > 300, 30, head)
    body[40:46, 40:46] = 900  # a spine
    with pytest.raises(NotACT, match="a skull with a brain in it"):
        check_ct(image(body))


def test_a_small_part_of_a_head_is_refused(head):
    with pytest.raises(NotACT, match="a skull with a brain in it"):
        check_ct(image(head[:, :, 75:]))


@pytest.mark.parametrize("shape", [(20, 20, 20, 3), (20, 20)])
def test_series_and_pictures_are_refused(shape):
    with pytest.raises(NotACT, match="three dimensions"):
        check_ct(Nifti1Image(np.zeros(shape, dtype=np.int16), np.eye(4)))


def metal(units):
    units[20:26, 60:66, 45:51] = 3071
    return units


def contrast(units):
    x, y, z = np.indices(units.shape)
    vessels = (units > 20) & (units < 45) & ((x // 4 + y // 4) % 9 == 0) & (z > 30)
    return np.where(vessels, 160, units)


def sharp(units):
    return units + np.random.default_rng(1).normal(0, 45, units.shape)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (metal, "metal"),
        (contrast, "contrast medium"),
        (sharp, "bone kernel"),
        (lambda units: np.minimum(units, 300), "bone was clipped"),
        (lambda units: units[:, :, :72], "top of the head"),
    ],
)
def test_what_a_reader_has_to_know(head, spoil, word):
    found = check_ct(image(spoil(head.copy())))
    assert [word in each for each in found.flags] == [True]


def test_a_header_that_does_not_say_how_the_head_lies(head):
    img = image(head)
    img.header["qform_code"] = img.header["sform_code"] = 0
    bare = Nifti1Image(np.asarray(img.dataobj), None, img.header)
    assert "left and right" in check_ct(bare).flags[0]


def test_a_real_head(shared_data):
    found = check_ct(nib.load(shared_data / "ct" / "sub-ct01_ct.nii.gz"))
    assert found.repairs == found.flags == ()
    assert 1000 < found.brain_ml < 1700
