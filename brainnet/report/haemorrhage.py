"""The page of one head CT that was read for haemorrhage: one sheet, the verdict first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image

from brainnet.report.figures_haemorrhage import KINDS, haemorrhage_mosaic
from brainnet.report.page import Figure, Methods, Notice, Section, Table, render_page
from brainnet.report.segmentation import model_section

__all__ = ["haemorrhage_page", "interval_words", "lesion_table", "verdict_words"]

_NOT_ASSESSED: Final = "not assessed"
_MOST_LESIONS: Final = 12
_LONGEST: Final = 52  # letters of a region in the table
_BLOOD: Final = tuple(name for name in KINDS.values() if name != "oedema")
#: facts of the model card that fit on the sheet, as `model_section` calls them
_FACTS: Final = ("images seen in training", "voxel size (mm)", "scores", "not for",
                 "hash of the weights")  # fmt: skip
_SOURCES: Final = (
    "ABC/2: Kothari RU, et al. Stroke 1996;27:1304-1305. ICH score: Hemphill JC, et al. Stroke "
    "2001;32:891-897. Graeb score: Graeb DA, et al. Radiology 1982;143:91-96."
)


def verdict_words(findings: Mapping[str, Any]) -> str:
    """Return the first line of the page.

    Parameters
    ----------
    findings : mapping
        With ``haemorrhage``: ``present`` (bool) and ``probability`` (0 to 1, or None).

    Examples
    --------
    >>> verdict_words({"haemorrhage": {"present": True, "probability": 0.972}})
    'Haemorrhage found (probability 97 %)'
    >>> verdict_words({"haemorrhage": {"present": False, "probability": 0.998}})
    'No haemorrhage found (probability of one: more than 99 %)'
    """
    found = findings["haemorrhage"]
    if found["present"]:
        return f"Haemorrhage found (probability {_percent(found['probability'])})"
    return f"No haemorrhage found (probability of one: {_percent(found['probability'])})"


def _percent(share: float | None) -> str:
    """Return a probability in words that never claim to be certain."""
    if share is None:
        return _NOT_ASSESSED
    if share > 0.99:
        return "more than 99 %"
    return "less than 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def interval_words(volume: Mapping[str, float | None] | None) -> str:
    """Return a volume in ml with its interval.

    Parameters
    ----------
    volume : mapping or None
        ``value``, ``low`` and ``high``; each may be None.

    Examples
    --------
    >>> interval_words({"value": 23.4, "low": 18.2, "high": 30.1})
    '23 [18–30]'
    >>> interval_words({"value": 0.42, "low": 0.1, "high": 1.3})
    '0.4 [0.1–1.3]'
    >>> interval_words(None)
    'not assessed'
    """
    if volume is None or volume.get("value") is None:
        return _NOT_ASSESSED
    low, high = volume.get("low"), volume.get("high")
    span = "" if low is None or high is None else f" [{_ml(low)}–{_ml(high)}]"
    return f"{_ml(volume['value'])}{span}"


def _ml(value: float | None) -> str:
    if value is None:
        return _NOT_ASSESSED
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def lesion_table(lesions: Sequence[Mapping[str, Any]], *, longest: int = _MOST_LESIONS) -> Table:
    """Return the table of haemorrhages; of many, the largest, and the rest in a note.

    Parameters
    ----------
    lesions : sequence of mapping
        Largest first, as `haemorrhage_page` takes them.
    longest : int
        Rows.

    Examples
    --------
    >>> lesion = {"number": 1, "kind": "subdural", "side": "left", "region": None,
    ...           "compartment": "extra-axial", "probability": 0.9, "volume_ml": None,
    ...           "abc_over_2": None, "density": None, "slices": [3, 9]}
    >>> lesion_table([lesion]).frame.iloc[0].to_list()[:4]
    [1, 'subdural', 'left', 'extra-axial']
    """
    frame = pd.DataFrame([_row(lesion) for lesion in lesions[:longest]], dtype=object)
    rest = lesions[longest:]
    note = ""
    if rest:
        volume = sum((each.get("volume_ml") or {}).get("value") or 0.0 for each in rest)
        note = f"And {len(rest)} smaller, together {_ml(volume)} ml."
    return Table("Haemorrhages, largest first", frame, note, longest=longest)


def _row(lesion: Mapping[str, Any]) -> dict[str, Any]:
    """Return one line of the table."""
    simple, density = lesion.get("abc_over_2") or {}, lesion.get("density") or {}
    extent, units = lesion.get("slices"), density.get("mean_hu")
    return {
        "No.": lesion["number"],
        "Kind": lesion["kind"],
        "Side": lesion.get("side"),
        "Where": _where(lesion),
        "Volume, ml": interval_words(lesion.get("volume_ml")),
        "ABC/2, ml": None if simple.get("volume_ml") is None else _ml(simple["volume_ml"]),
        "Mean HU": None if units is None else round(units),
        "Slices": None if not extent else f"{extent[0] + 1}–{extent[1] + 1}",
        "Probability": _percent(lesion.get("probability")),
    }


def _where(lesion: Mapping[str, Any]) -> str | None:
    """Return region and compartment, each once, cut where it is very long."""
    region, compartment = lesion.get("region") or "", lesion.get("compartment") or ""
    both = f"{region} ({compartment})" if region and compartment not in region else region
    words = both if compartment else region
    words = words or compartment
    return (words if len(words) <= _LONGEST else words[: _LONGEST - 3] + "...") or None


def haemorrhage_page(
    title: str,
    images: Mapping[str, Nifti1Image],
    findings: Mapping[str, Any],
    *,
    card: Mapping[str, Any],
    warnings: Sequence[str] = (),
    provenance: Mapping[str, object],
    simulated: bool = False,
) -> str:
    """Return the page of one head CT: one sheet of A4 when printed.

    Parameters
    ----------
    title : str
        Name of the image.
    images : mapping
        ``image`` (Hounsfield units), ``labels`` (numbers as in
        `brainnet.report.figures_haemorrhage.KINDS`) and ``probability`` (0 to 1), 3-D, on one
        grid of any orientation and spacing.
    findings : mapping
        As `brainnet.models.voxel.haemorrhage.read` makes them; what could not be assessed is None.
    card : mapping
        Card of the network.
    warnings : sequence of str
        What reading the image warned of.
    provenance : mapping
        Name to value: hashes, versions; no dates or durations.
    simulated : bool
        True if the image is simulated.

    Returns
    -------
    str
        HTML for `brainnet.io.save_text`; the same arguments give the same string.

    Raises
    ------
    ValueError
        If the images are not 3-D or not on one grid.
    """
    found = bool(findings["haemorrhage"]["present"])
    lead = Section(
        verdict_words(findings), "\n\n".join(findings.get("triage") or ()) or "", lead=True
    )
    return render_page(
        title,
        kind="haemorrhage_found" if found else "haemorrhage",
        summary=_key_numbers(findings),
        sections=[lead, _slices(images, findings), _lesions(findings), _open(findings)],
        warnings=[*_notices(findings), *map(Notice, warnings)],
        methods=_methods(findings, card),
        provenance=provenance,
        simulated=simulated,
    )


def _key_numbers(findings: Mapping[str, Any]) -> dict[str, object]:
    """Return the row of tiles."""
    share = round(100 * findings.get("interval", 0.9))
    volumes, score = findings.get("volumes_ml") or {}, findings.get("ich_score_imaging") or {}
    ventricles = findings.get("ventricles") or {}
    graeb, evans = ventricles.get("graeb"), ventricles.get("evans_index")
    points = score.get("points")
    return {
        f"Blood, ml [{share} % interval]": interval_words(volumes.get("total")),
        "Midline shift": _shift(findings.get("midline_shift") or {}),
        "ICH score, imaging part": _NOT_ASSESSED
        if points is None
        else f"{points} of {score.get('of', 3)}",
        "Graeb score (ventricles)": _NOT_ASSESSED if graeb is None else f"{graeb} of 12",
        "Evans index": _NOT_ASSESSED if evans is None else f"{evans:.2f}",
    }


def _shift(shift: Mapping[str, Any]) -> str:
    """Return the midline shift in words."""
    if shift.get("mm") is None:
        return _NOT_ASSESSED
    if round(shift["mm"]) == 0:
        return "none (0 mm)"
    to, at = shift.get("to"), shift.get("slice")
    towards = f" to the {to}" if to in ("left", "right") else ""
    return f"{shift['mm']:.0f} mm{towards}" + ("" if at is None else f" (slice {at + 1})")


def _slices(images: Mapping[str, Nifti1Image], findings: Mapping[str, Any]) -> Section:
    """Draw the slices, with and without outlines."""
    lesions = findings.get("lesions") or ()
    peak, point = _likeliest(images["probability"])
    first = [] if lesions or peak < 0.05 else [point]
    drawn, bare = (
        haemorrhage_mosaic(images["image"], images["labels"], lesions=lesions, first=first,
                           outlines=outlines)
        for outlines in (True, False)
    )  # fmt: skip
    caption = (
        "Radiological convention: the right of the patient (R) is on the left of each picture. "
        "Below: the number of the slice in the scan, from 1 at the bottom, and its height z in mm. "
    )
    if lesions:
        caption += "Numbers are those of the table, in the slice nearest to the centre."
    else:
        caption += f"The highest probability of blood in any voxel is {_percent(peak)}"
        caption += f", at x, y, z = {_point(point)} mm (RAS)." if first else "."
    alt = f"Axial slices of the head in the brain window. {verdict_words(findings)}."
    return Section(
        "", figures=[Figure(drawn, caption, alt, after=bare, labels=("outlines", "without"))]
    )


def _likeliest(probability_img: Nifti1Image) -> tuple[float, list[float]]:
    """Return the greatest probability and where it is, mm."""
    data = np.nan_to_num(np.asanyarray(probability_img.dataobj))
    place = np.unravel_index(int(data.argmax()), data.shape)
    return float(data[place]), apply_affine(probability_img.affine, place[:3]).tolist()


def _point(point: Sequence[float]) -> str:
    return ", ".join(f"{each:.0f}" for each in point)


def _lesions(findings: Mapping[str, Any]) -> Section:
    """Tabulate the haemorrhages, or say what was looked for."""
    lesions = findings.get("lesions") or ()
    if not lesions:
        looked = f"{', '.join(_BLOOD[:-1])} and {_BLOOD[-1]} haemorrhage"
        return Section("What was checked", f"{looked.capitalize()}; {_by_region(findings)}")
    volumes = findings.get("volumes_ml") or {}
    parts = [
        f"{name} {interval_words(volumes[name])}"
        for name in KINDS.values()
        if (volumes.get(name) or {}).get("value")
    ]
    return Section(
        "Haemorrhages",
        missing=f"By kind, ml: {'; '.join(parts)}. {_by_region(findings)}",
        tables=[lesion_table(lesions)],
    )


def _by_region(findings: Mapping[str, Any]) -> str:
    """Say how cisterns and oedema are, and what makes up the score."""
    cisterns, ratio = findings.get("cisterns") or {}, findings.get("oedema_ratio")
    effaced, fluid = cisterns.get("effaced"), cisterns.get("open_ml")
    state = {True: "effaced", False: "open", None: _NOT_ASSESSED}[effaced]
    words = f"basal cisterns {state}" + ("" if fluid is None else f" ({_ml(fluid)} ml)")
    if ratio is not None:
        words += f"; oedema to haematoma {ratio:.1f} to 1"
    score = findings.get("ich_score_imaging") or {}
    names = {"volume_30_ml": "30 ml or more", "intraventricular": "blood in the ventricles",
             "infratentorial": "infratentorial"}  # fmt: skip
    if score.get("points"):
        words += f"; points for {', '.join(text for key, text in names.items() if score.get(key))}"
    return words[0].upper() + words[1:] + "." if findings.get("lesions") else words + "."


def _open(findings: Mapping[str, Any]) -> Section:
    """List what was not assessed."""
    return Section("Not assessed", " ".join(findings.get("not_assessed") or ["Nothing is listed."]))


def _notices(findings: Mapping[str, Any]) -> list[Notice]:
    """Return flags and repairs as warnings."""
    flags = [Notice(_sentence(each)) for each in findings.get("flags") or ()]
    return flags + [
        Notice(_sentence(each), where="repaired") for each in findings.get("repairs") or ()
    ]


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _methods(findings: Mapping[str, Any], card: Mapping[str, Any]) -> Methods:
    """Say what was done, and what network did it."""
    share = round(100 * findings.get("interval", 0.9))
    facts = dict(model_section(card).tables[0].frame.itertuples(index=False, name=None))
    shown = [f"{words}: {facts[words]}" for words in _FACTS if words in facts]
    text = (
        "A 3-D convolutional network outlined the haemorrhages. It was trained on simulation: CT "
        "with haemorrhages grown by the program in label maps of heads, and it has learned from no "
        "real scan; on real scans it misses bleeds and takes other bright matter for blood, how "
        f"often is in the benchmark of the model. Intervals should hold the truth in {share} % of "
        "cases like those it was adjusted on. The imaging part of the ICH score has no points for "
        "coma and age. " + _SOURCES
    )
    parts = [text, *([f"Model: {'; '.join(shown)}."] if shown else []), findings.get("note") or ""]
    return Methods("\n\n".join(parts))
