"""The page of one segmented head: outlines, volumes of both sides, and whether to trust them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from brainnet.imaging._sampling import image_like
from brainnet.report import figures
from brainnet.report.page import Figure, Methods, Notice, Section, Table, render_page
from brainnet.report.references import REFERENCES

__all__ = ["model_section", "quality_notices", "quality_words", "segmentation_page", "sides_table"]

_SIDES = ("left", "right")
_TISSUE_WORDS = {"GM": "Grey matter", "WM": "White matter", "CSF": "Fluid"}
#: facts of a model card that the page shows, by the way to them, and what it calls them
_FACTS = {
    "task": "task",
    "intended_use": "made for",
    "not_for": "not for",
    "licence": "licence",
    "note": "note",
    "voxel_size": "voxel size (mm)",
    "data/source": "label maps from",
    "data/label_maps": "trained on",
    "data/held_out": "held out from training",
    "data/licence": "licence of the label maps",
    "training/images": "images",
    "training/n_images": "images seen in training",
    "training/seconds": "training took (s)",
    "training/device": "trained on device",
    "scores": "scores",
    "weights_sha256": "hash of the weights",
    "model_sha256": "hash of the model",
}
_SUMMED = ("training/n_images", "training/seconds")
_MOST_NAMES, _MOST_LETTERS = 6, 400


def quality_words(quality: Mapping[str, Any]) -> str:
    """Return a verdict in words.

    Parameters
    ----------
    quality : mapping
        ``Trusted`` (bool), ``Score`` (0 to 1) and ``Reasons`` (sequence of str).

    Examples
    --------
    >>> quality_words({"Trusted": True, "Score": 0.93, "Reasons": []})
    'Trusted: quality score 0.93 of 1.'
    >>> quality_words({"Trusted": False, "Score": 0.2, "Reasons": ["the brain is cut", "noise"]})
    'Do not trust this segmentation, because: the brain is cut; noise. Quality score 0.20 of 1.'
    """
    score = f"uality score {quality['Score']:.2f} of 1."
    if quality["Trusted"]:
        return f"Trusted: q{score}"
    why = "; ".join(quality["Reasons"]) or "its quality score is too low"
    return f"Do not trust this segmentation, because: {why}. Q{score}"


def quality_notices(quality: Mapping[str, Any]) -> list[Notice]:
    """Return a warning for each reason not to trust a segmentation; none where it is trusted.

    Parameters
    ----------
    quality : mapping
        As for `quality_words`.

    Examples
    --------
    >>> quality_notices({"Trusted": True, "Score": 0.9, "Reasons": []})
    []
    """
    if quality["Trusted"]:
        return []
    reasons = list(quality["Reasons"]) or ["The quality score is too low"]
    return [
        Notice(
            f"Do not trust this segmentation: {reasons[0]}",
            "Mask, tissue, structures and volumes may be wrong.",
            "Look at the pictures below; use another image of this head if there is one.",
            "quality",
        ),
        *(Notice(f"And: {reason}", where="quality") for reason in reasons[1:]),
    ]


def sides_table(volumes: pd.DataFrame) -> pd.DataFrame:
    """Put both sides of each structure in one row.

    Parameters
    ----------
    volumes : DataFrame
        ``structure``, ``side`` (``left``, ``right`` or missing), ``volume_mm3`` and
        ``predicted_dice``, a row a label.

    Returns
    -------
    DataFrame
        ``structure``, ``left (ml)``, ``right (ml)``, ``both (ml)``, ``asymmetry (%)``, which is
        left minus right as a share of their mean, and ``expected Dice``, of the worse side. A
        structure without sides has only ``both``.

    Examples
    --------
    >>> volumes = pd.DataFrame({"structure": ["a", "a", "b"], "side": ["left", "right", None],
    ...                         "volume_mm3": [1100.0, 900.0, 500.0],
    ...                         "predicted_dice": [0.9, 0.8, 0.7]})
    >>> for row in sides_table(volumes).round(2).to_csv(index=False, na_rep="n/a").split()[-2:]:
    ...     print(row)
    a,1.1,0.9,2.0,20.0,0.8
    b,n/a,n/a,0.5,n/a,0.7
    """
    rows = []
    for structure, labels in volumes.groupby("structure", sort=False):
        by_side = labels.set_index("side")["volume_mm3"] / 1000
        left, right = (float(by_side.get(side, np.nan)) for side in _SIDES)
        both = float(by_side.sum())
        mean = (left + right) / 2
        rows.append({
            "structure": structure,
            "left (ml)": left,
            "right (ml)": right,
            "both (ml)": both,
            "asymmetry (%)": 100 * (left - right) / mean if mean > 0 else np.nan,
            "expected Dice": float(labels["predicted_dice"].min()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def model_section(card: Mapping[str, Any]) -> Section:
    """Return what network this was, from its card.

    Parameters
    ----------
    card : mapping
        A model card: of what it says, the known facts are shown.
    """
    found = {words: _at(card, way) for way, words in _FACTS.items()}
    found |= {_FACTS[way]: _over_stages(card, way) for way in _SUMMED}
    shown = [(words, _plain(fact)) for words, fact in found.items() if fact not in (None, "", {})]
    return Section(
        "Model",
        "The network learned from images synthesised from label maps, so it has seen no real "
        "scanner and every contrast. It is a tool for research: not a medical device, no "
        "diagnosis, and not to be used for the treatment of patients. Its errors are larger where "
        "an anatomy is unlike those it was trained on.",
        tables=[Table("Model card", pd.DataFrame(shown, columns=["of the model", "what it says"]))],
    )


def _at(card: Mapping[str, Any], way: str) -> Any:
    """Return the part of a card that a way leads to; None where it leads nowhere."""
    part: Any = card
    for key in way.split("/"):
        part = part.get(key) if isinstance(part, Mapping) else None
    return part


def _over_stages(card: Mapping[str, Any], way: str) -> Any:
    """Sum a fact of a training over it and those that it went on from."""
    total, before = _at(card, way), _at(card, "training/start")
    if total is None or not isinstance(before, Mapping):
        return total
    return total + (_over_stages(before, way) or 0)


def _plain(value: Any) -> str:
    """Return a fact of a card as text of bearable length; of files with hashes, their names."""
    if isinstance(value, Mapping):
        hashed = all(isinstance(each, str) and len(each) == 64 for each in value.values())
        pairs = (f"{key}: {_plain(each)}" for key, each in value.items())
        return _plain(list(value)) if hashed else _cut("; ".join(pairs))
    if isinstance(value, list | tuple):
        rest = len(value) - _MOST_NAMES
        named = ", ".join(_plain(each) for each in value[:_MOST_NAMES])
        return _cut(named + (f" and {rest} more" if rest > 0 else ""))
    return f"{value:.4g}" if isinstance(value, float) else _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else text[:_MOST_LETTERS] + "..."


def segmentation_page(
    title: str,
    images: Mapping[str, Nifti1Image],
    volumes: pd.DataFrame,
    record: Mapping[str, Any],
    *,
    card: Mapping[str, Any],
    warnings: Sequence[str] = (),
    provenance: Mapping[str, object],
    simulated: bool = False,
) -> str:
    """Return the page of one segmented head.

    Parameters
    ----------
    title : str
        Name of the image.
    images : mapping
        ``image``, ``mask``, ``dseg`` and ``GM``, ``WM``, ``CSF``: 3-D, in one world space.
    volumes : DataFrame
        As for `sides_table`.
    record : mapping
        ``Quality``, ``BrainVolumeMillilitres``, ``IntracranialVolumeMillilitres``,
        ``TissueVolumesMillilitres`` and, if any, ``Notes`` and ``Brainnet`` of the label map's
        sidecar.
    card : mapping
        Card of the network.
    warnings : sequence of str
        What reading and segmenting warned of.
    provenance : mapping
        Name to value: hashes, versions; no dates or durations.
    simulated : bool
        True if the image is simulated.

    Returns
    -------
    str
        HTML for `brainnet.io.save_text`; the same arguments give the same string.
    """
    is_ct = any("CT" in note for note in record.get("Notes", ()))
    background = visible(images["image"], is_ct=is_ct)
    return render_page(
        title,
        kind="segmentation",
        summary=_summary(record),
        sections=[
            _brain(images, background, record),
            _structures(images["dseg"], background, volumes),
            model_section(card),
        ],
        warnings=[*quality_notices(record["Quality"]), *map(Notice, warnings)],
        methods=_methods(card, flipped=_is_flipped(record)),
        provenance=provenance,
        simulated=simulated,
    )


def _summary(record: Mapping[str, Any]) -> dict[str, object]:
    """Return the tiles at the top: verdict and volumes."""
    quality = record["Quality"]
    tissue = record["TissueVolumesMillilitres"]
    return {
        "Quality": "trusted" if quality["Trusted"] else "do not trust",
        "Quality score (0 to 1)": f"{quality['Score']:.2f}",
        "Brain (ml)": round(record["BrainVolumeMillilitres"]),
        "Intracranial (ml)": round(record["IntracranialVolumeMillilitres"]),
        **{f"{words} (ml)": round(tissue[key]) for key, words in _TISSUE_WORDS.items()},
    }


def _brain(
    images: Mapping[str, Nifti1Image], background: Nifti1Image, record: Mapping[str, Any]
) -> Section:
    """Outline brain and tissue over the image."""
    tissue = {key: images[key] for key in _TISSUE_WORDS}
    return Section(
        "Brain and tissue",
        "\n\n".join([quality_words(record["Quality"]), *record.get("Notes", ())]),
        [
            Figure(
                figures.overlay_contours(background, {"brain": images["mask"]}),
                "Brain mask. The line should follow the brain's surface, without scalp, eyes or "
                "neck inside it and without brain outside.",
            ),
            Figure(
                figures.overlay_contours(background, tissue),
                "Grey matter, white matter and fluid, where each is likelier than not.",
            ),
        ],
    )


def _structures(labels_img: Nifti1Image, background: Nifti1Image, volumes: pd.DataFrame) -> Section:
    """Colour the structures over the image, and tabulate their volumes."""
    table = Table(
        "Volume of each structure",
        sides_table(volumes),
        "Sums of probabilities. Asymmetry: left minus right, as a share of their mean. Expected "
        "Dice: the overlap with the truth that the network's own probabilities promise, of the "
        "worse side; it knows nothing of errors that the network is sure of.",
    )
    if not np.asanyarray(labels_img.dataobj).any():
        return Section("Structures", missing="No structure was found in this image.")
    figure = Figure(
        figures.atlas_overlay(background, labels_img),
        "Structures. Colours should follow the anatomy, and left and right should mirror.",
    )
    return Section("Structures", figures=[figure], tables=[table])


def visible(img: Nifti1Image, *, is_ct: bool) -> Nifti1Image:
    """Return an image in which a brain can be seen: a CT is windowed as the network saw it.

    Parameters
    ----------
    img : Nifti1Image
        3-D; a CT in Hounsfield units.
    is_ct : bool
        Whether it was read as CT.
    """
    if not is_ct:
        return img
    from brainnet.models.voxel.conform import HU_WINDOW  # imports torch

    return image_like(np.clip(img.get_fdata(dtype=np.float32), *HU_WINDOW), img)


def _is_flipped(record: Mapping[str, Any]) -> bool:
    """Tell whether flipped images were segmented too."""
    return any(record.get("Brainnet", {}).get("Parameters", {}).get("flips", ()))


def _methods(card: Mapping[str, Any], *, flipped: bool) -> Methods:
    """Say what was done, with what it rests on."""
    voxel = card.get("voxel_size")
    at = f" at {voxel:g} mm" if isinstance(voxel, int | float) else ""
    flips = (
        " The field of view was segmented flipped too, and the probabilities were averaged."
        if flipped
        else ""
    )
    return Methods(
        f"The image was brought to the axes of RAS{at} and cut to the head. The brain was looked "
        "for in a field of view below the top of the head and, where it was found elsewhere, once "
        "more around that place. Values were scaled between two quantiles of the field of view "
        "around the brain, which brainnet's network, a 3-D convolutional network trained on images "
        "synthesised from label maps with random contrast, resolution, bias field and noise [1], "
        f"segmented.{flips} Inside the brain its probabilities, blurred "
        "slightly, were the prior of an expectation maximisation over the histogram of each "
        "structure and a smooth multiplicative field [2, 3]. What lay apart from the brain, or "
        "from the rest of a structure that is one piece, was removed. Probabilities were "
        "interpolated to the image's own grid, where each voxel was given its likeliest label. "
        "Volumes are sums of probabilities.",
        (REFERENCES["billot2023"], REFERENCES["vanleemput1999"], REFERENCES["puonti2016"]),
    )
