"""Findings in plain sentences: is there blood, where, how much, what to look at."""

from collections.abc import Mapping
from typing import Any

__all__ = ["not_assessed", "triage"]

Findings = Mapping[str, Any]
_SHIFT = 5.0  # mm from which a shift is called out
_DOUBTFUL = (0.2, 0.8)


def triage(findings: Findings) -> list[str]:
    """Return what to know first, the most pressing first.

    Examples
    --------
    >>> from brainnet.models.voxel.haemorrhage.triage import triage
    >>> triage({"haemorrhage": {"present": False, "probability": 0.04}, "lesions": [], "flags": []})
    ['No haemorrhage was outlined (probability that there is one: 4 %).']
    """
    said = [_verdict(findings)]
    said += _amount(findings)
    said += _mass_effect(findings)
    if _is_doubtful(findings):
        said.append("The network is not sure: have every slice looked at.")
    if findings["flags"]:
        said.append(f"Read with care: {findings['flags'][0]}.")
    return said


def not_assessed(findings: Findings) -> list[str]:
    """Return what a reader might look for and not find here, and why."""
    said = ["Fractures, infarcts, tumours and vessels: the network was not trained to see them."]
    if findings["midline_shift"]["mm"] is None:
        said.append("Midline shift: the border of the halves could not be traced.")
    if findings["ventricles"]["evans_index"] is None:
        said.append("Evans index: no lateral ventricle was found.")
    if findings["cisterns"]["effaced"] is None:
        why = "blood in them" if findings["cisterns"]["open_ml"] is not None else "not located"
        said.append(f"Effacement of the basal cisterns: {why}.")
    lesions = findings["lesions"]
    if lesions and all(each["region"] is None for each in lesions):
        said.append("Regions: the scan was not registered to an atlas.")
    tiny = [str(each["number"]) for each in lesions if each["density"] is None]
    if tiny:
        said.append(f"Density of haemorrhage {', '.join(tiny)}: smaller than a voxel of the scan.")
    return said


def _verdict(findings: Findings) -> str:
    chance = f"{100 * findings['haemorrhage']['probability']:.0f} %"
    if not findings["haemorrhage"]["present"]:
        return f"No haemorrhage was outlined (probability that there is one: {chance})."
    n_lesions = len(findings["lesions"])
    kinds = list(dict.fromkeys(each["kind"] for each in findings["lesions"]))
    what = f"{_listed(kinds)} haemorrhage" + ("s" if n_lesions > 1 else "")
    return f"Haemorrhage is likely ({chance}): {what}."


def _amount(findings: Findings) -> list[str]:
    if not findings["lesions"]:
        return []
    largest, total = findings["lesions"][0], findings["volumes_ml"]["total"]
    where = largest["region"] or largest["compartment"] or "the brain"
    side = "" if _says_side(where) else f"{largest['side']}-sided, "
    side = "on both sides, " if largest["side"] == "both" else side
    rest = len(findings["lesions"]) - 1
    more = "" if not rest else f"; {rest} more" if rest > 1 else "; one more"
    return [
        f"About {_ml(total)} ml of blood; the largest is {largest['kind']}, {side}{where}, "
        f"{_ml(largest['volume_ml'])} ml{_slices(largest)}{more}."
    ]


def _mass_effect(findings: Findings) -> list[str]:
    said = []
    shift = findings.get("midline_shift")
    if shift and shift["mm"] is not None and shift["mm"] >= _SHIFT:
        said.append(f"The midline is shifted {shift['mm']:.0f} mm to the {shift['to']}.")
    ventricles = findings.get("ventricles")
    if ventricles and ventricles["graeb"]:
        said.append(f"Blood in the ventricles: Graeb score {ventricles['graeb']} of 12.")
    if ventricles and (ventricles["evans_index"] or 0) > 0.3:
        said.append(f"The ventricles are wide: Evans index {ventricles['evans_index']:.2f}.")
    if findings.get("cisterns", {}).get("effaced"):
        said.append("The basal cisterns look effaced.")
    return said


def _is_doubtful(findings: Findings) -> bool:
    low, high = _DOUBTFUL
    return bool(low <= findings["haemorrhage"]["probability"] <= high)


def _says_side(where: str) -> bool:
    return "left" in where or "right" in where


def _slices(lesion: Mapping[str, Any]) -> str:
    if lesion["slices"] is None:
        return ""
    first, last = (each + 1 for each in lesion["slices"])
    return f" (slice {first})" if first == last else f" (slices {first} to {last} from below)"


def _ml(volume: Mapping[str, float]) -> str:
    return f"{volume['value']:.2g}" if volume["value"] < 1 else f"{volume['value']:.0f}"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
