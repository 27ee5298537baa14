"""Segmentation of images, by a network that is right by construction and by the one shipped."""

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from nibabel.nifti1 import Nifti1Image
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff
from torch import Tensor, nn

from brainnet.io import DataError, load_img
from brainnet.models.core.checkpoint import save_checkpoint
from brainnet.models.core.networks import build_network
from brainnet.models.voxel.labels import LabelTable, load_labels
from brainnet.models.voxel.segment import Segmenter, load_segmenter, segment

#: Brightness of left and right of what the phantom shows.
LEVELS = {
    "cerebral white matter": (0.8, 0.86),
    "cerebral cortex": (0.6, 0.66),
    "brain-stem": (0.45, 0.45),
    "extracerebral CSF": (0.25, 0.25),
}
WEIGHTS = Path(str(resources.files("brainnet.models.voxel") / "weights" / "brain"))


class ByBrightness(nn.Module):
    """Tells structures and their sides by their brightness: right by construction."""

    def __init__(self, table: LabelTable) -> None:
        super().__init__()
        levels = torch.full((2, 1 + table.n_structures), 100.0)  # left and right
        levels[:, 0] = torch.tensor([0.0, 1.0])  # air and bone
        for name in set(LEVELS) & set(table.structures):
            levels[:, 1 + table.structures.index(name)] = torch.tensor(LEVELS[name])
        self.register_buffer("levels", levels[:, None, :, None, None, None])
        self.unused = nn.Conv3d(1, 1, 1)  # a device and a type to be found by

    def forward(self, image: Tensor) -> Tensor:
        image = image.float()
        left, right = -4000 * (image - self.levels) ** 2
        return torch.cat([torch.maximum(left, right), self.side(image, left, right)], dim=1)

    def side(self, image: Tensor, left: Tensor, right: Tensor) -> Tensor:
        structure = torch.maximum(left, right).argmax(dim=1, keepdim=True)
        return right.gather(1, structure) - left.gather(1, structure)


class ByPlace(ByBrightness):
    """Tells the sides by the place in the field of view, as a trained network does."""

    def side(self, image: Tensor, left: Tensor, right: Tensor) -> Tensor:
        n = image.shape[2]
        return (torch.arange(n) - (n - 1) / 2)[None, None, :, None, None].expand_as(image)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    table = load_labels("brain")
    return Segmenter(ByBrightness(table), table, {"task": "brain", "voxel_size": 3.0})


def _phantom() -> tuple[np.ndarray, np.ndarray]:
    """Return labels and image of a brain in a thick skull, RAS at 3 mm; left is smaller."""
    x, y, z = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in (66, 74, 66)], indexing="ij")
    radius = np.sqrt((x / 23) ** 2 + (y / 28) ** 2 + (z / 22) ** 2)
    labels = np.zeros(x.shape, np.int16)
    labels[radius < 1] = 24
    left, right = (radius < 0.85) & (x < -2), (radius < 0.9) & (x > 2)
    labels[left], labels[right] = 3, 42
    labels[left & (radius < 0.65)] = 2
    labels[right & (radius < 0.7)] = 41
    labels[(np.hypot(x, y) < 2) & (z > -21) & (z < -4)] = 16
    level = {0: 0.0, 2: 0.8, 41: 0.86, 3: 0.6, 42: 0.66, 16: 0.45, 24: 0.25}
    image = np.vectorize(level.get, otypes=[np.float32])(labels)
    image[(radius >= 1) & (radius < 1.25)] = 1.0
    return labels, image


LABELS, IMAGE = _phantom()


def _scan(codes: str = "RAS", data: np.ndarray = IMAGE) -> Nifti1Image:
    """Store an array of RAS order in another order of voxels, at the same place in the world."""
    affine = np.diag([3.0, 3, 3, 1])
    affine[:3, 3] = -97.5, -109.5, -97.5
    ornt = axcodes2ornt(tuple(codes))
    stored = apply_orientation(data, _to(ornt))
    return Nifti1Image(stored, affine @ inv_ornt_aff(_to(ornt), data.shape))


def _to(ornt: np.ndarray) -> np.ndarray:
    """Return the orientation transform from RAS to the given axes."""
    from nibabel.orientations import ornt_transform

    return ornt_transform(axcodes2ornt(("R", "A", "S")), ornt)


def _back(img: Nifti1Image) -> np.ndarray:
    import nibabel as nib

    return np.asarray(nib.as_closest_canonical(img).dataobj)


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


@pytest.mark.parametrize("codes", ["RAS", "LAS", "PIR"])
def test_any_orientation_gives_the_same_labels_on_the_right_sides(
    segmenter: Segmenter, codes: str
) -> None:
    img = _scan(codes)
    found = segment(img, segmenter)
    assert found.labels_img.shape == img.shape
    assert np.array_equal(found.labels_img.affine, img.affine)
    labels = _back(found.labels_img)
    for index in (2, 3, 41, 42, 16):
        assert _dice(labels == index, index == LABELS) > 0.95, index
    volumes = found.volumes.set_index("index")["volume_mm3"]
    for index in (2, 41):
        assert volumes[index] == pytest.approx(27 * (index == LABELS).sum(), rel=0.05)
    assert volumes[41] > 1.1 * volumes[2]  # the right side is the larger one
    assert _dice(_back(found.mask_img) > 0, LABELS > 0) > 0.98
    assert found.icv_mm3 == pytest.approx(27 * (LABELS > 0).sum(), rel=0.03)
    tissues = {name: _back(each) for name, each in found.tissue_imgs.items()}
    assert _dice(tissues["WM"] > 0.5, np.isin(LABELS, (2, 41, 16))) > 0.95
    assert sum(tissues.values()).max() <= 1 + 1e-5
    assert found.labels_img.get_data_dtype() == np.int16
    assert found.mask_img.get_data_dtype() == np.uint8


def test_flips_swap_the_sides_back() -> None:
    table = load_labels("brain")
    coarse = Segmenter(ByPlace(table), table, {"task": "brain", "voxel_size": 5.0})
    once = segment(_scan(), coarse)
    both = segment(_scan(), coarse, flips=((), (0,)))
    labels = _back(once.labels_img)
    assert _dice(labels == 41, np.isin(LABELS, 41)) > 0.8
    assert np.mean(labels == _back(both.labels_img)) > 0.99


def test_the_posterior_is_kept_with_its_grid(segmenter: Segmenter) -> None:
    found = segment(_scan(), segmenter)
    img = found.posterior_img
    assert img.shape == (*found.posterior.shape[1:], 33)
    assert np.allclose(np.asarray(img.dataobj).sum(axis=-1), 1, atol=1e-4)
    assert np.array_equal(img.affine[:3, :3], 3 * np.eye(3))
    white = np.asarray(img.dataobj)[..., 1 + list(found.volumes["index"]).index(41)]
    middle = np.array(np.nonzero(white > 0.5)).mean(axis=1)
    assert (img.affine[:3, :3] @ middle + img.affine[:3, 3])[0] > 5  # on the right


def test_finer_voxels_give_the_same_brain(segmenter: Segmenter) -> None:
    fine = IMAGE.repeat(2, axis=0).repeat(3, axis=1)
    affine = np.diag([1.5, 1, 3, 1])
    affine[:3, 3] = -98.25, -110.5, -97.5
    found = segment(Nifti1Image(fine, affine), segmenter)
    truth = (LABELS > 0).repeat(2, axis=0).repeat(3, axis=1)
    assert _dice(np.asarray(found.mask_img.dataobj) > 0, truth) > 0.96
    assert found.icv_mm3 == pytest.approx(27 * (LABELS > 0).sum(), rel=0.1)
    assert found.labels_img.shape == fine.shape


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.where(np.arange(66)[:, None, None] < 33, 0, IMAGE), "cut off at the left"),
        (np.where(np.arange(66) < 33, 0, IMAGE), "cut off at the bottom"),
        (np.where(np.arange(66) < 33, np.nan, IMAGE), "touches the edge"),
        (np.minimum(IMAGE, 0.66), "saturated"),
        (np.where(IMAGE == 1, IMAGE, 0), "no brain was found"),
    ],
)
def test_what_was_cut_or_clipped_is_not_trusted(
    segmenter: Segmenter, data: np.ndarray, words: str
) -> None:
    found = segment(_scan(data=data.astype(np.float32)), segmenter)
    assert not found.quality.trusted
    assert any(words in reason for reason in found.quality.reasons), found.quality.reasons


def test_infinite_voxels_do_not_hide_that_an_image_is_saturated(segmenter: Segmenter) -> None:
    data = np.minimum(IMAGE, 0.66)
    data[0, 0, 0] = np.inf
    reasons = segment(_scan(data=data), segmenter).quality.reasons
    assert any("saturated" in reason for reason in reasons), reasons


def _noisy(data: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (data + rng.uniform(-0.005, 0.005, data.shape)).astype(np.float32)


def test_the_labels_of_another_table_can_be_trusted() -> None:
    whole = load_labels("brain")
    kept = whole.regions["structure"].isin(["cerebral white matter", "cerebral cortex"])
    regions = whole.regions[kept].assign(index=[14, 15, 16, 17])  # the brain's are far smaller
    regions["name"] = "my " + regions["name"]
    table = LabelTable(regions)
    sides = np.where(np.arange(66)[:, None, None] < 33, 0.6, 0.66)
    data = _noisy(np.where(np.isin(LABELS, (16, 24)), sides, IMAGE))
    found = segment(_scan(data=data), Segmenter(ByBrightness(table), table, {"voxel_size": 3.0}))
    assert found.quality.trusted, found.quality


def test_a_single_small_structure_is_looked_for_where_it_is() -> None:
    regions = load_labels("brain").regions.iloc[[12]].assign(index=1)  # the brain-stem
    table = LabelTable(regions)
    truth = LABELS == 16
    assert 27 * truth.sum() < 50_000
    data = _noisy(np.where(truth | (IMAGE == 1), IMAGE, 0))
    found = segment(_scan(data=data), Segmenter(ByBrightness(table), table, {"voxel_size": 3.0}))
    assert _dice(_back(found.labels_img) == 1, truth) > 0.9
    assert found.quality.trusted, found.quality


def test_too_little_memory_is_told(segmenter: Segmenter) -> None:
    with pytest.raises(ValueError, match=r"max_memory must be [0-9.]+ GB or more for an image of"):
        segment(_scan(), segmenter, max_memory=0.001)


def test_noise_is_not_trusted(segmenter: Segmenter) -> None:
    noise = np.random.default_rng(0).random((64, 64, 64), np.float32)
    found = segment(Nifti1Image(noise, np.diag([3.0, 3, 3, 1])), segmenter)
    assert not found.quality.trusted
    assert 0 <= found.quality.score < 0.5


def test_an_unknown_orientation_is_not_trusted(segmenter: Segmenter) -> None:
    img = _scan()
    img.set_sform(None, code=0)
    img.set_qform(None, code=0)
    reasons = segment(img, segmenter).quality.reasons
    assert any("left and right may be swapped" in reason for reason in reasons)


def _checkpoint(folder: Path, n_channels: int, **card: object) -> Path:
    options = {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": n_channels,
        "channels": [2, 2],
        "strides": [2],
    }
    network = {"name": "UNet", "options": options}
    whole = {"task": "brain", "network": network, **card}
    return save_checkpoint(folder, build_network("UNet", options), whole)


def test_a_checkpoint_must_fit_its_label_table(tmp_path: Path) -> None:
    good = load_segmenter(_checkpoint(tmp_path / "a", 20, labels="brain", voxel_size=3.0))
    assert (good.table.n_channels, good.voxel_size) == (20, 3.0)
    with pytest.raises(DataError, match="no label table"):
        load_segmenter(_checkpoint(tmp_path / "b", 20))
    with pytest.raises(DataError, match="5 channels, the label table 20"):
        load_segmenter(_checkpoint(tmp_path / "c", 5, labels="brain"))
    with pytest.raises(DataError, match="not for 'blood'"):
        load_segmenter(_checkpoint(tmp_path / "d", 20, labels="brain"), task="blood")
    with pytest.raises(DataError):
        load_segmenter(tmp_path / "nowhere")


def test_a_tampered_card_is_refused(tmp_path: Path) -> None:
    folder = _checkpoint(tmp_path, 20, labels="brain", voxel_size=2.0)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"voxel_size": 1.0}))
    with pytest.raises(DataError, match="card was changed"):
        load_segmenter(folder)


shipped = pytest.mark.skipif(
    not (WEIGHTS / "card.json").exists(), reason="the package has no trained weights yet"
)


@shipped
@pytest.mark.parametrize("subject", ["sub-01", "sub-02"])
def test_a_real_head_is_segmented(shared_data: Path, subject: str) -> None:
    img = load_img(shared_data / "bids" / subject / "anat" / f"{subject}_T1w.nii.gz")
    found = segment(img, load_segmenter())
    assert 1.2e6 < found.icv_mm3 < 2.0e6
    volumes = found.volumes.set_index("name")["volume_mm3"]
    assert 2500 < volumes["left hippocampus"] < 6000
    assert 0.75 < volumes["left hippocampus"] / volumes["right hippocampus"] < 1.33
    assert found.quality.trusted, found.quality


@shipped
@pytest.mark.parametrize(
    "part",
    [
        "half",
        *[pytest.param(each, marks=pytest.mark.slow) for each in ("noise", "sphere", "saturated")],
    ],
)
def test_what_is_no_whole_head_is_not_trusted(shared_data: Path, part: str) -> None:
    img = load_img(shared_data / "bids" / "sub-02" / "anat" / "sub-02_T1w.nii.gz")
    data = np.asarray(img.dataobj, np.float32)[::2, ::2, ::2]
    affine = img.affine @ np.diag([2.0, 2, 2, 1])
    if part == "half":
        data = np.where(np.arange(data.shape[2]) < 0.6 * data.shape[2], 0, data)
    elif part == "noise":
        data = np.random.default_rng(0).random(data.shape, np.float32)
    elif part == "sphere":
        place = np.indices(data.shape) - np.array(data.shape)[:, None, None, None] / 2
        data = (np.sqrt((place**2).sum(axis=0)) < 40).astype(np.float32)
        data += np.random.default_rng(0).normal(0, 0.02, data.shape).astype(np.float32)
    else:
        data = np.minimum(data, 0.3 * np.quantile(data, 0.99))
    found = segment(Nifti1Image(data, affine), load_segmenter())
    assert not found.quality.trusted
    assert found.quality.reasons
