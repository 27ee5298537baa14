"""The PET fields that BIDS asks for, as far as DICOM has them."""

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

_UNITS: Final = {
    "BQML": "Bq/mL", "CNTS": "counts", "GML": "g/mL", "NONE": "arbitrary", "PROPCNTS": "counts",
    "PROPCPS": "counts/s", "CPS": "counts/s", "KBQML": "kBq/mL",
}  # fmt: skip
_ELEMENTS: Final = {
    "carbon": "C", "copper": "Cu", "fluorine": "F", "gallium": "Ga", "iodine": "I",
    "nitrogen": "N", "oxygen": "O", "rubidium": "Rb", "zirconium": "Zr",
}  # fmt: skip
_HALF_LIVES: Final = {"F18": 6586.2, "C11": 1221.8, "N13": 597.9, "O15": 122.2, "Ga68": 4057.7}
_DOSE_RANGE: Final = (1e5, 1e11)  # Bq; outside it the unit is not the standard's
_DECAY_TOLERANCE: Final = 0.02


def pet_fields(header: Any, frames: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    r"""Return the sidecar fields of a PET series, and what is doubtful about them.

    TimeZero is the start of the scan; injection and decay correction are told against it.
    A frame starts at its acquisition time and lasts its actual frame duration.

    Parameters
    ----------
    header : pydicom Dataset
        Of one image of the series.
    frames : sequence of dict
        In order of time: ``start`` (datetime), ``duration`` (s) and ``decay`` (the decay factor
        that the scanner applied, or None) of each frame.

    Returns
    -------
    fields : dict
        BIDS fields, in s and MBq. What DICOM does not say is not there.
    notes : list of str
        Times, doses or decay factors that disagree.

    Notes
    -----
    The decay factor of a frame that starts :math:`t` after the reference and lasts :math:`d` is
    :math:`e^{\lambda t} \lambda d / (1 - e^{-\lambda d})`; it is compared with the one given.
    """
    fields: dict[str, Any] = {}
    notes: list[str] = []
    units = str(header.get("Units") or "")
    _put(fields, "Units", _UNITS.get(units, units))
    fields |= _tracer(header, notes)
    fields |= _times(header, frames, notes)
    fields |= _reconstruction(header)
    return fields, notes


def moment(day: Any, time: Any) -> datetime | None:
    """Return a DICOM date and time, None where either is missing or malformed."""
    digits = re.sub(r"[^0-9.]", "", str(time or ""))
    whole, _, fraction = digits.partition(".")
    if len(whole) < 2:  # no hour: that is not midnight
        return None
    text = re.sub(r"[^0-9]", "", str(day or "")) + whole.ljust(6, "0")
    try:
        seconds = float(f"0.{fraction}") if fraction else 0.0
        return datetime.strptime(text, "%Y%m%d%H%M%S") + timedelta(seconds=seconds)
    except ValueError:
        return None


def _put(fields: dict[str, Any], key: str, value: Any) -> None:
    """Set a field if there is a value."""
    if value not in (None, ""):
        fields[key] = value


def _number(value: Any) -> float | None:
    """Return a finite number, None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _dose(header: Any) -> Any:
    """Return the item of the radiopharmaceutical, an empty one where there is none."""
    items = header.get("RadiopharmaceuticalInformationSequence") or [{}]
    return items[0]


def _meaning(item: Any, keyword: str) -> str:
    """Return the meaning of a coded element, ``""`` where there is none."""
    codes = item.get(keyword) or [{}]
    return str(codes[0].get("CodeMeaning") or "")


def _tracer(header: Any, notes: list[str]) -> dict[str, Any]:
    """Return what was injected."""
    dose, fields = _dose(header), dict[str, Any]()
    name = str(dose.get("Radiopharmaceutical") or "")
    _put(fields, "TracerName", name or _meaning(dose, "RadiopharmaceuticalCodeSequence"))
    _put(fields, "TracerRadionuclide", _radionuclide(dose))
    activity = _number(dose.get("RadionuclideTotalDose"))
    if activity is not None and _DOSE_RANGE[0] <= activity <= _DOSE_RANGE[1]:
        fields |= {"InjectedRadioactivity": activity / 1e6, "InjectedRadioactivityUnits": "MBq"}
    elif activity is not None:
        notes.append(f"a dose of {activity:g} Bq cannot be: InjectedRadioactivity is left out")
    molar = _number(dose.get("RadiopharmaceuticalSpecificActivity"))
    if molar:
        fields |= {"MolarActivity": molar, "MolarActivityUnits": "Bq/umol"}
    return fields


def _radionuclide(dose: Any) -> str:
    """Return the nuclide as in F18, from its name or else its half-life; ``""`` if unknown."""
    meaning = _meaning(dose, "RadionuclideCodeSequence")
    words = re.findall(r"[A-Za-z]+", meaning.lower())
    mass = re.search(r"\d+", meaning)
    symbol = next((_ELEMENTS[word] for word in words if word in _ELEMENTS), "")
    if symbol and mass:
        return f"{symbol}{mass[0]}"
    half_life = _number(dose.get("RadionuclideHalfLife"))
    near = (n for n, t in _HALF_LIVES.items() if half_life and abs(half_life / t - 1) < 0.01)
    return next(near, meaning)


def _times(header: Any, frames: Sequence[dict[str, Any]], notes: list[str]) -> dict[str, Any]:
    """Return the times of scan, injection, frames and decay correction."""
    fields: dict[str, Any] = {}
    if all(frame["duration"] is not None for frame in frames):
        fields["FrameDuration"] = [round(frame["duration"], 3) for frame in frames]
    starts = [frame["start"] for frame in frames if frame["start"] is not None]
    if len(starts) < len(frames) or not starts:
        return fields
    zero = moment(header.get("SeriesDate") or header.get("StudyDate"), header.get("SeriesTime"))
    if zero is None or zero > starts[0]:
        if zero is not None:
            notes.append("the series' time is after its first frame: the frame is taken as start")
        zero = starts[0]
    fields |= {
        "TimeZero": zero.strftime("%H:%M:%S"),
        "ScanStart": _since(zero, zero),
        "FrameTimesStart": [_since(zero, start) for start in starts],
    }
    injection = _injection(header, zero)
    _put(fields, "InjectionStart", None if injection is None else _since(zero, injection))
    fields |= _decay(header, frames, zero, injection, notes)
    return fields


def _since(zero: datetime, then: datetime) -> float:
    """Return the seconds from one moment, without its fraction of a second, to another."""
    return round((then - zero.replace(microsecond=0)).total_seconds(), 3)


def _injection(header: Any, zero: datetime) -> datetime | None:
    """Return the moment of injection: given whole, or a time of the day before the scan's end."""
    dose = _dose(header)
    whole = str(dose.get("RadiopharmaceuticalStartDateTime") or "")
    then = moment(whole[:8], re.split(r"[+-]", whole[8:])[0])
    if then is not None:
        return then
    then = moment(zero.strftime("%Y%m%d"), dose.get("RadiopharmaceuticalStartTime"))
    if then is not None and then - zero > timedelta(hours=12):
        return then - timedelta(days=1)
    return then


def _decay(
    header: Any,
    frames: Sequence[dict[str, Any]],
    zero: datetime,
    injection: datetime | None,
    notes: list[str],
) -> dict[str, Any]:
    """Return to when the voxels are corrected for decay, checked against the factors applied."""
    kind = str(header.get("DecayCorrection") or "")
    if kind not in ("NONE", "START", "ADMIN"):
        return {}
    reference = injection if kind == "ADMIN" else zero
    if kind == "NONE":
        return {"ImageDecayCorrected": False, "ImageDecayCorrectionTime": 0.0}
    fields: dict[str, Any] = {"ImageDecayCorrected": True}
    if reference is None:
        return fields
    fields["ImageDecayCorrectionTime"] = _since(zero, reference)
    factors = [frame["decay"] for frame in frames]
    if None in factors:
        return fields
    fields["DecayCorrectionFactor"] = factors
    half_life = _number(_dose(header).get("RadionuclideHalfLife"))
    durations = [frame["duration"] for frame in frames]
    if half_life and None not in durations:
        expected = [
            _factor(half_life, (frame["start"] - reference).total_seconds(), frame["duration"])
            for frame in frames
        ]
        worst = max(abs(f / e - 1) for f, e in zip(factors, expected, strict=True))
        if worst > _DECAY_TOLERANCE:
            notes.append(
                f"decay factors and times disagree by {worst:.0%}: check ImageDecayCorrectionTime"
            )
    return fields


def _factor(half_life: float, start: float, duration: float) -> float:
    """Return by how much activity is multiplied to undo its decay in a frame."""
    rate = math.log(2) / half_life
    during = rate * duration / -math.expm1(-rate * duration) if duration > 0 else 1.0
    return math.exp(rate * start) * during


def _reconstruction(header: Any) -> dict[str, Any]:
    """Return how the image was made of the counts."""
    fields: dict[str, Any] = {}
    method = str(header.get("ReconstructionMethod") or "")
    if method:
        fields |= {"ReconMethodName": method} | _method_parameters(method)
    kernel = str(header.get("ConvolutionKernel") or "")
    if kernel:
        plain = kernel.lower().replace("-", "").replace(" ", "") in ("allpass", "none")
        fields["ReconFilterType"] = "none" if plain else kernel
        size = re.search(r"\d+(\.\d+)?", kernel)
        if size and not plain:
            fields["ReconFilterSize"] = float(size[0])
    corrected = header.get("CorrectedImage")
    attenuation = str(header.get("AttenuationCorrectionMethod") or "")
    if not attenuation and corrected is not None:
        known = [corrected] if isinstance(corrected, str) else list(corrected)
        attenuation = "applied, method not recorded" if "ATTN" in known else "none"
    _put(fields, "AttenuationCorrection", attenuation)
    _put(fields, "ScatterFraction", _number(header.get("ScatterFractionFactor")))
    _put(fields, "DoseCalibrationFactor", _number(header.get("DoseCalibrationFactor")))
    return fields


def _method_parameters(method: str) -> dict[str, Any]:
    """Return iterations and subsets that a method's name states, or that it states none."""
    found = re.search(r"(\d+)\s*i\D{0,3}(\d+)\s*s", method)
    swapped = re.search(r"(\d+)\s*s\D{0,3}(\d+)\s*i", method)
    if not found and not swapped:
        return {"ReconMethodParameterLabels": ["none"]}
    iterations, subsets = (found[1], found[2]) if found else (swapped[2], swapped[1])  # type: ignore[index]
    return {
        "ReconMethodParameterLabels": ["subsets", "iterations"],
        "ReconMethodParameterUnits": ["none", "none"],
        "ReconMethodParameterValues": [int(subsets), int(iterations)],
    }
