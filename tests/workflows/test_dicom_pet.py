"""PET fields from DICOM headers, against the standard's definitions."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed: brainnet[dicom]")

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from brainnet.workflows.dicom import pet as dicom_pet


def dose() -> Sequence:
    """Return what was injected: 185.5 MBq of FDG at 9:20."""
    item = Dataset()
    item.Radiopharmaceutical = "Fluorodeoxyglucose"
    item.RadionuclideTotalDose = 185.5e6
    item.RadionuclideHalfLife = 6586.2
    item.RadiopharmaceuticalStartTime = "092000"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C-111A1", "SRT", "^18^Fluorine"
    item.RadionuclideCodeSequence = Sequence([code])
    return Sequence([item])


def pet_header(**elements: Any) -> Dataset:
    header = Dataset()
    header.SeriesDate, header.SeriesTime, header.DecayCorrection = "20210304", "100000", "START"
    header.RadiopharmaceuticalInformationSequence = dose()
    for key, value in elements.items():
        setattr(header, key, value)
    return header


def frame(clock: str, duration: float = 60.0, decay: float | None = None) -> dict[str, Any]:
    return {"start": dicom_pet.moment("20210304", clock), "duration": duration, "decay": decay}


def test_a_late_static_frame_is_told_from_the_scan_start() -> None:
    fields, _ = dicom_pet.pet_fields(pet_header(), [frame("105000.5", 1200)])
    assert (fields["TimeZero"], fields["FrameTimesStart"]) == ("10:00:00", [3000.5])


def test_a_series_time_after_the_first_frame_is_no_scan_start() -> None:
    fields, notes = dicom_pet.pet_fields(pet_header(SeriesTime="120000"), [frame("105000")])
    assert (fields["TimeZero"], fields["FrameTimesStart"]) == ("10:50:00", [0])
    assert "after its first frame" in notes[0]


def test_decay_factors_that_disagree_with_the_times_are_told() -> None:
    rate = np.log(2) / 6586.2
    right = float(np.exp(rate * 3000) * rate * 60 / (1 - np.exp(-rate * 60)))
    assert not dicom_pet.pet_fields(pet_header(), [frame("105000", decay=right)])[1]
    _, notes = dicom_pet.pet_fields(pet_header(), [frame("105000", decay=1.003)])
    assert "decay factors and times disagree" in notes[0]


def test_correction_to_injection_and_injection_before_midnight() -> None:
    header = pet_header(DecayCorrection="ADMIN", SeriesTime="001000")
    header.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime = "235000"
    fields, _ = dicom_pet.pet_fields(header, [frame("001000")])
    assert fields["InjectionStart"] == fields["ImageDecayCorrectionTime"] == -1200


def test_a_dose_in_another_unit_is_left_out() -> None:
    header = pet_header()
    header.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = 185.5
    fields, notes = dicom_pet.pet_fields(header, [frame("100000")])
    assert "InjectedRadioactivity" not in fields
    assert "cannot be" in notes[0]


@pytest.mark.parametrize(
    ("name", "half_life", "nuclide"),
    [("^18^Fluorine", 6588.0, "F18"), ("^11^Carbon", 1223.0, "C11"), ("", 1223.0, "C11"),
     ("Ga-68 Gallium", 4062.6, "Ga68"), ("", 122.2, "O15")],
)  # fmt: skip
def test_the_radionuclide_by_name_or_half_life(name: str, half_life: float, nuclide: str) -> None:
    header = pet_header()
    item = header.RadiopharmaceuticalInformationSequence[0]
    item.RadionuclideHalfLife, item.RadionuclideCodeSequence[0].CodeMeaning = half_life, name
    fields, _ = dicom_pet.pet_fields(header, [frame("100000")])
    assert fields["TracerRadionuclide"] == nuclide


@pytest.mark.parametrize(
    ("method", "values"),
    [("PSF+TOF 3i21s", [21, 3]), ("OSEM 2D 24s 4i", [24, 4]), ("FBP", None)],
)
def test_iterations_and_subsets(method: str, values: list[int] | None) -> None:
    fields, _ = dicom_pet.pet_fields(pet_header(ReconstructionMethod=method), [frame("100000")])
    assert fields.get("ReconMethodParameterValues") == values
    assert (fields["ReconMethodParameterLabels"] == ["none"]) is (values is None)


@pytest.mark.parametrize("clock", ["", None, "-", "9"])
def test_a_time_that_is_missing_is_not_midnight(clock: str | None) -> None:
    assert dicom_pet.moment("20210304", clock) is None
    series = pet_header(SeriesTime=clock) if clock in ("", None) else pet_header(SeriesTime="")
    fields, _ = dicom_pet.pet_fields(series, [frame("105000")])
    assert (fields["TimeZero"], fields["FrameTimesStart"]) == ("10:50:00", [0])


def test_midnight_itself_is_a_time() -> None:
    assert str(dicom_pet.moment("20210304", "00")) == "2021-03-04 00:00:00"


@pytest.mark.parametrize(("whole", "start"), [("20210304", -2400), ("20210304093000", -1800)])
def test_an_injection_day_without_its_time_gives_way_to_the_time(whole: str, start: float) -> None:
    header = pet_header()
    header.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = whole
    assert dicom_pet.pet_fields(header, [frame("100000")])[0]["InjectionStart"] == start
