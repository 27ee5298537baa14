"""Folders of scans are read as they come, and what is wrong in one is named."""

import numpy as np
import pytest

from brainnet.io import DataError
from brainnet.models.voxel.haemorrhage.datasets import UNKNOWN_KIND, find_dataset
from brainnet.models.voxel.haemorrhage.slice_labels import KINDS, load_slice_labels

CSV = "hemorrhage_diagnosis_raw_ct.csv"
HEAD = (
    "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,"
    "Subdural,No_Hemorrhage,Fracture_Yes_No\n"
)


def _touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def _found(folder, dataset):
    return {
        each.name: (each.image.relative_to(folder).as_posix(),
                    each.mask and each.mask.relative_to(folder).as_posix())
        for each in dataset.cases
    }  # fmt: skip


@pytest.mark.parametrize(
    ("image", "mask", "name"),
    [
        ("sub-1/ct/sub-1_ct.nii.gz", "sub-1/ct/sub-1_dseg.nii.gz", "sub-1"),
        ("sub-1/ct/sub-1_run-2_ct.nii.gz", "derivatives/a/sub-1_run-2_label-bleed_mask.nii",
         "sub-1_run-2"),
        ("sub-1/sub-1_ct.nii.gz", "sub-1/sub-1_desc-manual_dseg.nii.gz", "sub-1"),
        ("imagesTr/head_007_0000.nii.gz", "labelsTr/head_007.nii.gz", "head_007"),
        ("x.nii.gz", "x_seg.nii.gz", "x"),
        ("x.nii", "x_mask.nii.gz", "x"),
        ("images/12.nii.gz", "masks/12.nii.gz", "12"),
        ("images/12.nii.gz", "labels/12.nii.gz", "12"),
    ],
)  # fmt: skip
def test_an_image_finds_its_mask_however_they_are_named(tmp_path, image, mask, name):
    _touch(tmp_path, image, mask, "imagesTs/head_9_0000.nii.gz", "sub-1/anat/sub-1_T1w.nii.gz")
    assert _found(tmp_path, find_dataset(tmp_path)) == {name: (image, mask)}


def test_public_datasets_are_found_as_they_are_downloaded(tmp_path):
    _touch(tmp_path, "train_2/data/001.nii.gz", "train_2/label/001.nii.gz")
    instance = find_dataset(tmp_path, "instance")
    assert _found(tmp_path, instance)["001"] == ("train_2/data/001.nii.gz",
                                                  "train_2/label/001.nii.gz")  # fmt: skip
    assert instance.meanings == {1: (UNKNOWN_KIND,)}
    _touch(tmp_path, "label_192/images/ID_a1.nii.gz", "label_192/ground truths/ID_a1.nii.gz")
    bhsd = find_dataset(tmp_path, "bhsd")
    assert set(_found(tmp_path, bhsd)) == {"ID_a1"}
    assert [bhsd.meanings[number][0].split()[0] for number in range(1, 6)] == [
        "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural",
    ]  # fmt: skip
    _touch(tmp_path, "ct_scans/049.nii", "masks/049.nii")
    (tmp_path / CSV).write_text(
        HEAD + "49,1,0,0,0,0,0,1,0\n49,2,1,1,0,0,0,0,0\n50,1,0,0,0,0,0,1,0\n"
    )
    (case,) = find_dataset(tmp_path, "ct-ich").cases
    assert (case.name, case.labels.whole) == ("049", False)
    shown = {kind: case.labels.table[1, KINDS.index(kind)] for kind in KINDS}
    assert {kind for kind, label in shown.items() if label} == {"intraparenchymal",
                                                                 "intraventricular"}  # fmt: skip
    assert case.labels.table[:, -1].tolist() == [0, 1]  # any


@pytest.mark.parametrize(
    ("names", "layout", "problem", "at"),
    [
        ([], "pairs", "no NIfTI image in it", ""),
        (["a.txt"], "pairs", "no NIfTI image in it", ""),
        (["train_2/label/1.nii.gz"], "instance", "no NIfTI image in data", "train_2"),
        (["a.nii"], "ct-ich", "no NIfTI image in ct_scans", ""),
        (["a.nii"], "bhsd", "no NIfTI image in images", ""),
        (["a.nii"], "bids", "layout 'bids' is not known. Give one of pairs, ct-ich", ""),
        (["a.nii", "b.nii", "b_seg.nii"], "pairs", "an image without a mask", "a.nii"),
        (["b.nii", "b_seg.nii", "c_seg.nii"], "pairs", "a mask without an image", "c_seg.nii"),
        (["b.nii", "b_seg.nii", "d/b_seg.nii"], "pairs", "one of two masks named b", "d/b_seg.nii"),
        (["b.nii", "d/b.nii", "d/b_seg.nii"], "pairs", "one of two images named b", "d/b.nii"),
    ],
)
def test_what_is_wrong_in_a_folder_is_named(tmp_path, names, layout, problem, at):
    _touch(tmp_path, *names)
    with pytest.raises(DataError, match=problem) as caught:
        find_dataset(tmp_path, layout)
    assert caught.value.path == tmp_path / at


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        find_dataset(tmp_path / "scans")


def test_labels_stand_in_for_a_mask(tmp_path):
    _touch(tmp_path, "a_ct.nii.gz", "b.nii.gz", "b_seg.nii.gz")
    table = tmp_path / "labels.tsv"
    table.write_text("scan\tsubdural\na_ct.nii.gz\t1\n")
    first, second = find_dataset(tmp_path, labels=table).cases
    assert (first.mask, first.labels.whole) == (None, True)
    assert first.labels.of_slices(3)[:, KINDS.index("subdural")].tolist() == [1, 1, 1]
    assert second.labels is None
    table.write_text("scan\tsubdural\nc\t1\n")
    with pytest.raises(DataError, match="names none of the scans: it has c, the folder a"):
        find_dataset(tmp_path, labels=table)
    table.write_text("scan\tsubdural\nb\t1\n")
    with pytest.raises(DataError, match=r"without a mask, and not in .*labels.tsv") as caught:
        find_dataset(tmp_path, labels=table)
    assert caught.value.path == tmp_path / "a_ct.nii.gz"


def test_what_follows_from_labels_is_filled_in(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("scan,slice,subdural,epidural,any\nx,2,1,,\nx,1,,,0\nx,4,0,0,\n")
    table = load_slice_labels(path)["x"].table
    subdural, epidural = (KINDS.index(kind) for kind in ("subdural", "epidural"))
    assert np.array_equal(table[:, -1], [0, 1, np.nan, np.nan], equal_nan=True)
    assert table[0, :-1].tolist() == [0] * 5  # none is no kind
    assert (table[1, subdural], np.isnan(table[1, epidural])) == (1, True)
    assert np.isnan(table[2]).all()  # no row


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("scan,slice,subdural\n", "no row"),
        ("name,subdural\nx,1\n", "no column of scans"),
        ("scan,slice,bleed\nx,1,1\n", "none of a kind: its columns are scan, slice, bleed"),
        ("scan,slice,subdural\nx,0,1\n", "line 2 has slice '0'"),
        ("scan,slice,subdural\nx,1,1\nx,top,1\n", "line 3 has slice 'top'"),
        ("scan,slice,subdural\nx,1,1\nx,1,0\n", "line 3 names slice 1 of x again"),
        ("scan,subdural\nx,1\nx,0\n", "line 3 names x again"),
        ("scan,subdural\nx,2\n", "line 2 has '2' under subdural"),
        ("scan,subdural\nx,yes\n", "line 2 has 'yes' under subdural"),
    ],
)
def test_a_mistake_in_a_table_of_labels_is_named(tmp_path, text, problem):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=problem) as caught:
        load_slice_labels(path)
    assert caught.value.path == path
