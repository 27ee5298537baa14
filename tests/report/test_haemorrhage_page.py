"""The sheet of one head CT: verdict, slices the right way round, nothing that breaks or leaks."""

import copy
import io
import re
from html.parser import HTMLParser

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from PIL import Image

from brainnet.report.figures_haemorrhage import COLORS, chosen_slices, haemorrhage_mosaic
from brainnet.report.haemorrhage import haemorrhage_page

SHAPE, VOXEL = (40, 48, 20), (4.0, 4.0, 6.0)
AFFINE = np.diag([*VOXEL, 1.0])
AFFINE[:3, 3] = -np.array(SHAPE) * VOXEL / 2
CARD = {"not_for": "treatment <of> patients", "training": {"n_images": 4321}}


class Words(HTMLParser):
    """Collects the text and the tags of a page; fails where tags do not close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.text: list[str] = []
        self.tags: list[str] = []
        self.feed(page)
        assert not self.stack

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in {"meta", "img", "input", "br"}:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if "style" not in self.stack:
            self.text.append(data)

    def __str__(self) -> str:
        return " ".join(" ".join(self.text).split())


def head() -> tuple[np.ndarray, np.ndarray]:
    """A ball of brain in a shell of bone, with blood on the right, in front, in slices 8 to 10."""
    x, y, z = np.indices(SHAPE)
    world = nib.affines.apply_affine(AFFINE, np.stack([x, y, z], axis=-1))
    radius = np.linalg.norm(world / (66, 80, 54), axis=-1)
    units = np.where(radius < 1, 35.0, -1000.0).astype(np.float32)
    units[(radius >= 1) & (radius < 1.1)] = 900
    labels = np.where(radius < 1, np.where(world[..., 0] < 0, 1, 2), 0).astype(np.int16)
    labels[27:31, 32:38, 8:11] = 11
    units[labels == 11] = 65
    return units, labels


def lesion(number: int = 1, **more):
    volume = {"value": 6.9, "low": 5.1, "high": 9.2}
    return {"number": number, "kind": "intraparenchymal", "volume_ml": volume,
            "probability": 0.93, "side": "right", "region": "right <b>putamen</b>",
            "compartment": "deep", "centre_mm": [34.0, 42.0, -3.0], "slices": [8, 10],
            "abc_over_2": {"a_mm": 20, "b_mm": 10, "c_mm": 10, "volume_ml": 7.3},
            "density": {"mean_hu": 65.2, "sd_hu": 3}, "depth_mm": 20.0,
            "heterogeneity": 0.1, "irregularity": 0.2} | more  # fmt: skip


def findings(*lesions):
    nothing = {"value": 0.0, "low": 0.0, "high": 0.1}
    volumes = dict.fromkeys([*COLORS, "total"], nothing)
    if lesions:
        volumes |= dict.fromkeys(["intraparenchymal", "total"], lesion()["volume_ml"])
    return {
        "note": "Research only.", "interval": 0.9, "volumes_ml": volumes, "lesions": list(lesions),
        "haemorrhage": {"present": bool(lesions), "probability": 0.972 if lesions else 0.04},
        "midline_shift": {"mm": 6.4, "to": "left", "slice": 9},
        "ventricles": {"graeb": 3, "ivh_score": 3, "ivh_volume_ml": 0.0, "filled": {},
                       "evans_index": 0.287},
        "cisterns": {"open_ml": 7.0, "effaced": False}, "oedema_ratio": 0.8,
        "ich_score_imaging": {"points": 2, "of": 3, "volume_30_ml": True,
                              "intraventricular": True, "infratentorial": False},
        "triage": ["First, look <here>.", "Then there."], "not_assessed": ["Fractures & so on."],
        "flags": ["metal (2 ml): <script>evil()</script>"], "repairs": ["padding was removed"],
    }  # fmt: skip


def images(codes: str = "RAS") -> dict[str, Nifti1Image]:
    """The head and its labels with axes in that order and sense."""
    units, labels = head()
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(AFFINE), nib.orientations.axcodes2ornt(tuple(codes))
    )
    probability = np.where(labels == 11, 0.9, 0.02).astype(np.float32)
    parts = {"image": units, "labels": labels, "probability": probability}
    return {key: Nifti1Image(data, AFFINE).as_reoriented(turn) for key, data in parts.items()}


def page(found, **more) -> str:
    more = {"card": CARD, "provenance": {"Image": "ab" * 32}} | more
    return haemorrhage_page("sub-<1>", images(), found, **more)


def test_the_first_words_are_the_warning_and_the_verdict_then_triage_and_numbers():
    words = str(Words(page(findings(lesion()))))
    order = ["Research only. Not a medical device", "Haemorrhage found (probability 97 %)",
             "First, look <here>.", "Then there.", "6.9 [5.1–9.2]", "6 mm to the left (slice 10)",
             "2 of 3", "3 of 12", "0.29", "Metal (2 ml): <script>evil()</script>.",
             "Radiological convention", "right <b>putamen</b> (deep)", "7.3", "65", "9–11",
             "93 %", "Fractures & so on.", "trained on simulation", "4321",
             "Research only."]  # fmt: skip
    places, start = [], words.index("Research only. Not")
    for text in order:
        start = words.index(text, start)
        places.append(start)
    assert places == sorted(places)


def test_a_scan_without_haemorrhage_says_so_and_what_was_checked():
    found = page(findings())
    words = str(Words(found))
    assert "No haemorrhage found (probability of one: 4 %)" in words
    assert "Intraparenchymal, intraventricular, subarachnoid, subdural and epidural" in words
    assert "highest probability of blood in any voxel is 90 %" in words
    assert "table" not in Words(found).tags
    assert re.search(r'<body class="none"', found)
    assert re.search(r'<body class="found"', page(findings(lesion())))


def test_text_is_escaped_and_nothing_is_asked_of_the_network():
    found = page(findings(lesion()), warnings=["<i>w</i>"])
    assert "<script" not in found
    assert "<b>putamen" not in found
    assert "<i>w" not in found
    assert "sub-&lt;1&gt;" in found
    assert not re.search(r"url\(|@import|https?://", found)


def test_what_could_not_be_assessed_and_many_long_lesions_break_nothing():
    bare = lesion(1, region=None, compartment=None, side=None, volume_ml=None, abc_over_2=None,
                  density=None, slices=None, centre_mm=None, probability=None)  # fmt: skip
    rest = [lesion(n, region="right superior part of the long " * 6) for n in range(2, 15)]
    found = findings(bare, *rest)
    found |= {"midline_shift": {"mm": None, "to": "none", "slice": None}, "oedema_ratio": None,
              "ventricles": {"graeb": None, "evans_index": None},
              "cisterns": {"open_ml": None, "effaced": None}}  # fmt: skip
    words = str(Words(page(found)))
    assert words.count("not assessed") >= 6
    assert "And 2 smaller, together 14 ml." in words
    assert "None" not in words
    assert "nan" not in words
    assert max(map(len, re.findall(r"<td class=\"text\">([^<]*)", page(found)))) <= 52


def test_same_arguments_same_bytes_and_findings_stay_as_they_were():
    found = findings(lesion())
    before = copy.deepcopy(found)
    assert page(found) == page(found)
    assert found == before


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def coloured(picture: np.ndarray, color: str) -> np.ndarray:
    """Return the places, as shares of the picture, of pixels near a colour."""
    target = [int(color[k : k + 2], 16) for k in (1, 3, 5)]
    found = np.argwhere(np.abs(picture - target).sum(axis=-1) < 60)
    return found / picture.shape[:2]


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIL", "ASR"])
def test_the_right_of_the_patient_is_on_the_left_and_the_front_above(codes):
    given = images(codes)
    png = haemorrhage_mosaic(given["image"], given["labels"], first=[[0, 0, -3]], grid=(1, 1))
    where = coloured(pixels(png)[80:], COLORS["intraparenchymal"])
    assert len(where) > 50
    assert (where[:, 1] < 0.5).all(), "planted on the right of the patient"
    assert (where[:, 0] < 0.5).all(), "planted in front"
    plain = haemorrhage_mosaic(given["image"], given["labels"], first=[[0, 0, -3]], grid=(1, 1),
                               outlines=False)  # fmt: skip
    assert len(coloured(pixels(plain)[80:], COLORS["intraparenchymal"])) == 0


def test_slices_show_every_kind_and_spread_over_the_blood_and_the_head():
    labels = np.zeros((6, 6, 40), dtype=int)
    labels[..., 4:36] = 1
    labels[0, 0, 5], labels[1, :3, 20:30], labels[1, :5, 24] = 15, 11, 11
    chosen = chosen_slices(labels, 6)
    assert {5, 24} <= set(chosen)
    assert sum(20 <= each < 30 for each in chosen) == 5, "blood first"
    more = chosen_slices(labels, 16)
    assert set(range(20, 30)) <= set(more)
    assert min(more) <= 5
    assert max(more) == 35
    assert chosen_slices(labels[..., :3], 10) == [0, 1, 2]


def test_labels_on_another_grid_are_refused():
    given = images()
    moved = Nifti1Image(np.asanyarray(given["labels"].dataobj), np.diag([4.0, 4.0, 6.0, 1.0]))
    with pytest.raises(ValueError, match="labels_img must be on the grid"):
        haemorrhage_mosaic(given["image"], moved)
