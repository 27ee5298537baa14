"""The methods paragraph, written from the record of the steps that ran; and what it cites."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from brainnet._version import __version__
from brainnet.bids.names import shown
from brainnet.report.methods_staging import staging_text
from brainnet.report.page import Methods
from brainnet.report.references import REFERENCES, bibtex

__all__ = ["methods_files", "methods_text"]

Record = Mapping[str, Any]

_ATLASES = {
    "desikankilliany": "desikan2006",
    "destrieux": "destrieux2010",
    "aal": "tzourio2002",
    "aicha": "joliot2015",
    "schaefer": "schaefer2018",
}
_SOFTWARE = {
    "antspyx": "tustison2021",
    "nilearn": "abraham2014",
    "nibabel": "brett",
    "scikit-learn": "pedregosa2011",
    "torch": "paszke2019",
    "torch-geometric": "fey2019",
    "numpy": "harris2020",
    "scipy": "virtanen2020",
}
_NETWORKS = {
    "pearson": ("the Pearson correlation of their time series", ()),
    "fisher_z": ("the Pearson correlation of their time series, Fisher z transformed", ()),
    "js_similarity": (
        "one minus the square root of the Jensen-Shannon divergence (base 2) between kernel "
        "density estimates of their voxel values",
        ("lin1991", "kong2015", "wang2016"),
    ),
    "spearman": ("the Spearman rank correlation of their time series", ()),
    "partial": (
        "the partial correlation of their time series given all other measured regions, with the "
        "correlation matrix shrunk",
        ("ledoit2004",),
    ),
    "kl_similarity": (
        "the similarity derived from the symmetric Kullback-Leibler divergence between kernel "
        "density estimates of their voxel values",
        ("kong2015", "wang2016"),
    ),
}
_TISSUES = {
    "Atropos": ("Atropos", ("avants2011atropos",)),
    "mixture": ("a Gaussian mixture with a Markov random field", ("zhang2001",)),
    "network": (
        "brainnet's network, trained on synthesised images, refined by the image's own histograms",
        ("billot2023", "puonti2016"),
    ),
}
_MASKS = {"deepbet": ("deepbet", ("fisch2024",)), "network": _TISSUES["network"]}
_SECTIONS = (
    "dataset", "anatomical", "functional", "morphological", "metabolic", "atlas", "measures",
    "staging", "software", "simulated",
)  # fmt: skip


class _Citer:
    """Numbers references in the order in which they are first cited."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, *keys: str) -> str:
        """Return ' [1, 2]' for those references, or nothing for none."""
        for key in keys:
            if key not in self.keys:
                self.keys.append(key)
        numbers = ", ".join(str(self.keys.index(key) + 1) for key in keys)
        return f" [{numbers}]" if keys else ""


def methods_text(record: Record) -> Methods:
    """Write what was done, citing only what was used.

    Parameters
    ----------
    record : mapping
        What ran; a part that is absent or empty is not written about. All keys optional:

        - ``dataset``: ``{"name", "n_subjects"}``.
        - ``simulated``: bool, all data are simulated.
        - ``anatomical``: ``bias_correction`` ("N4"), ``brain_mask`` ("deepbet", "network", or
          "input" where the image came skull-stripped), ``tissue`` ("mixture", "network",
          "Atropos"; of either: words for it, or a list where images differ), ``registration``
          ("SyN", "symmetric"), ``quality`` ("standard", "draft"), ``template``.
        - ``functional``: ``n_timepoints``, ``t_r`` (s), ``motion`` (bool), ``registration``
          ("rigid"), ``slice_timing`` and ``distortion`` (bool: corrected), ``confounds`` (the
          strategy's name), ``high_pass``, ``low_pass`` (Hz or None) or ``band`` (words where it
          differed between runs), ``network``.
        - ``morphological``: ``signal`` ("grey matter density"), ``network``.
        - ``metabolic``: ``tracer``, ``reference_region``, ``simulated`` (bool), ``network``.
        - ``atlas``: ``name``, ``n_regions``, ``citation`` (used where the atlas is not known
          here).
        - ``measures``: ``densities`` (shares), ``efficiency`` and ``modularity`` (bool), ``seed``.
        - ``staging``: ``estimators`` (name to what it is), ``n_subjects``, ``n_splits``,
          ``n_repeats``, ``folds`` ("stage", "site"), ``harmonise`` ("none", "combat"), ``search``
          ("none", "inner"), ``baseline`` (that differences are from), ``permutations``, ``level``
          (of prediction sets), ``n_resamples``, ``seed``.
        - ``software``: package to version.

        ``network`` is "pearson", "spearman", "partial", "fisher_z", "js_similarity",
        "kl_similarity" or a description; or several of them.

    Returns
    -------
    report.page.Methods
        Paragraphs with ``[n]`` and the citations in that order.

    Raises
    ------
    ValueError
        If ``record`` has an unknown top-level key: a misspelt part would go unmentioned.

    Examples
    --------
    >>> methods = methods_text({"anatomical": {"bias_correction": "N4"}})
    >>> methods.text
    'T1-weighted images were corrected for intensity non-uniformity with N4 [1].'
    >>> methods.citations[0].split(".")[0]
    'Tustison NJ, Avants BB, Cook PA, et al'
    """
    text, keys = _compose(record)
    return Methods(text, tuple(REFERENCES[key] for key in keys))


def methods_files(record: Record) -> tuple[str, str]:
    """Return the methods as a page of Markdown, and what they cite as a BibTeX file.

    Parameters
    ----------
    record : mapping
        As for `methods_text`.

    Returns
    -------
    markdown, bibtex : str
        Text with ``[n]`` and the numbered references; their entries in the same order, and one
        of brainnet itself. What came from a dataset cannot become markup.

    Examples
    --------
    >>> markdown, entries = methods_files({"anatomical": {"bias_correction": "N4"}})
    >>> markdown.splitlines()[4]
    'T1-weighted images were corrected for intensity non-uniformity with N4 [1].'
    >>> [line for line in entries.splitlines() if line.startswith("@")]
    ['@software{brainnet,', '@article{tustison2010,']
    """
    text, keys = _compose(record)
    plain = html.escape(text, quote=False).replace("](", "] (")
    listed = [f"{number}. {REFERENCES[key]}" for number, key in enumerate(keys, start=1)]
    own = ["@software{brainnet,", "  author = {{The brainnet developers}},",
           "  title = {{brainnet}},", f"  version = {{{__version__}}},", "}"]  # fmt: skip
    markdown = ["# Methods", "", f"Processed with brainnet {__version__}; please cite it.", "",
                plain, "", "## References", "", *listed]  # fmt: skip
    entries = ["\n".join(own), *map(bibtex, keys)]
    return "\n".join(markdown) + "\n", "\n\n".join(entries) + "\n"


def _compose(record: Record) -> tuple[str, list[str]]:
    """Return the text and the keys of what it cites, in order."""
    unknown = sorted(set(record) - set(_SECTIONS))
    if unknown:
        raise ValueError(f"record has unknown keys {unknown}; the known ones are {_SECTIONS}.")
    cite = _Citer()
    writers: dict[str, Callable[[Record, _Citer], str]] = {
        "dataset": _dataset, "anatomical": _anatomical, "functional": _functional,
        "metabolic": _metabolic, "atlas": _atlas, "measures": _measures, "staging": staging_text,
        "software": _software,
    }  # fmt: skip
    parts = ["All data were simulated."] if record.get("simulated") else []
    for name, writer in writers.items():
        if record.get(name):
            parts.append(writer(record[name], cite))
        if name == "atlas":
            parts.append(_networks(record, cite))
    text = "\n\n".join(part for part in parts if part)
    return text, cite.keys


def _word(value: object) -> str:
    """Return a short line of printable text, whatever a sidecar or a table holds."""
    text = shown(str(value))
    return text if len(text) <= 100 else text[:100] + "..."


def _joined(items: Sequence[str]) -> str:
    """Return 'a, b and c'."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _listed(value: object) -> list[str]:
    """Return one word or a list of them as a list."""
    several = value if isinstance(value, list) else [value]
    return [str(each) for each in several if each]


def _dataset(part: Record, cite: _Citer) -> str:
    """Name the dataset and how it is organised."""
    count = part.get("n_subjects")
    who = f" ({count} participant{'s' if count != 1 else ''})" if count else ""
    name = _word(part.get("name", "given"))
    return f"The dataset {name}{who} follows BIDS{cite('gorgolewski2016')}."


def _anatomical(part: Record, cite: _Citer) -> str:
    """Describe the T1w steps."""
    steps = []
    if bias := part.get("bias_correction"):
        note = cite("tustison2010") if str(bias).upper() == "N4" else ""
        steps.append(f"corrected for intensity non-uniformity with {bias}{note}")
    masks = _listed(part.get("brain_mask"))
    found = [_MASKS.get(mask, (mask, ())) for mask in masks if mask != "input"]
    made = [f"{words}{cite(*keys)}" for words, keys in found]
    if made:
        where = " where they were not already" if "input" in masks else ""
        steps.append(f"skull-stripped with {' or '.join(made)}{where}")
    elif masks:
        steps.append("recognised as already skull-stripped, so that their non-zero voxels served "
                     "as brain mask")  # fmt: skip
    known = [_TISSUES.get(tissue, (tissue, ())) for tissue in _listed(part.get("tissue"))]
    if known:
        tissues = " or ".join(f"{words}{cite(*keys)}" for words, keys in known)
        steps.append(f"segmented into grey matter, white matter and CSF with {tissues}")
    if registration := part.get("registration"):
        steps.append(_normalised(str(registration), part, cite))
    return f"T1-weighted images were {_joined(steps)}." if steps else ""


def _normalised(registration: str, part: Record, cite: _Citer) -> str:
    """Describe the registration to the template."""
    template = str(part.get("template", "the template"))
    known = cite("fonov2009", "fonov2011") if template.startswith("MNI152NLin2009") else ""
    draft = " (draft quality)" if part.get("quality") == "draft" else ""
    if registration == "SyN":
        return f"registered to {template}{known} with SyN{cite('avants2008')}{draft}"
    if registration == "symmetric":
        registration = (
            "brainnet's symmetric diffeomorphic registration by local cross-correlation"
            + cite("avants2008", "yushkevich2016")
        )
    return f"registered to {template}{known} with {registration}{draft}"


def _functional(part: Record, cite: _Citer) -> str:
    """Describe the BOLD steps."""
    length = f" ({part['n_timepoints']} volumes" if part.get("n_timepoints") else ""
    length += f", repetition time {part['t_r']:g} s)" if length and part.get("t_r") else ""
    length += ")" if length and not length.endswith(")") else ""
    sentences = []
    if part.get("motion"):
        sentences.append(
            f"Head motion of the BOLD series{length} was estimated by rigid registration of each "
            f"volume to a reference image and summarised as framewise displacement and "
            f"DVARS{cite('power2012', 'nichols2017')}."
        )
    if registration := part.get("registration"):
        sentences.append(
            f"The reference image was registered to the T1w image ({registration}); motion and "
            "registration were applied together in one interpolation."
        )
    if spaces := part.get("spaces"):
        sentences.append(_also_in(spaces, "The series"))
    undone = [name for key, name in (("slice_timing", "slice timing"), ("distortion",
              "susceptibility distortion")) if part.get(key) is False]  # fmt: skip
    if undone:
        sentences.append(f"No correction was made for {_joined(undone)}.")
    if confounds := part.get("confounds"):
        sentences.append(_cleaning(str(confounds), part, cite))
    return " ".join(sentences)


def _also_in(spaces: Sequence[str], what: str) -> str:
    """Say in which further spaces images were written; networks never come from those."""
    return (
        f"{what} were also written in {_joined(spaces)}, again in one interpolation; networks "
        "come from the T1w image's own space."
    )


def _cleaning(confounds: str, part: Record, cite: _Citer) -> str:
    """Describe confound regression and filter."""
    with_nilearn = cite("abraham2014")
    from_24 = cite("friston1996", "satterthwaite2013") if "24P" in confounds else ""
    low, high = part.get("high_pass"), part.get("low_pass")
    band = ""
    if low and high:
        band = f", band-pass filter {low:g} to {high:g} Hz"
    elif low or high:
        band = f", {'high' if low else 'low'}-pass filter {low or high:g} Hz"
    band = f", {part['band']}" if part.get("band") else band
    what = "no confounds" if confounds == "none" else f"confounds {confounds}{from_24}"
    return (
        f"Regional time series were cleaned in one regression with nilearn{with_nilearn}: "
        f"linear trend, {what}{band}."
    )


def _metabolic(part: Record, cite: _Citer) -> str:
    """Describe the PET steps."""
    tracer = _word(part.get("tracer", "PET"))
    sentences = []
    if part.get("simulated"):
        sentences.append(f"{tracer} images were simulated on the participant's own anatomy.")
    if region := part.get("reference_region"):
        words = str(region).replace("_", " ")
        words += " matter" if words.endswith("grey") else ""
        sentences.append(
            f"{tracer} images{cite('norgaard2022')} were rigidly registered to the T1w image and "
            f"divided by the mean uptake of the {words} (SUVR)."
        )
    if spaces := part.get("spaces"):
        sentences.append(_also_in(spaces, "The ratio images"))
    return " ".join(sentences)


def _atlas(part: Record, cite: _Citer) -> str:
    """Describe the parcellation."""
    name = str(part.get("name", "given"))
    keys = [key for start, key in _ATLASES.items() if name.lower().startswith(start)]
    keys += ["tian2020"] if "tian" in name.lower() else []
    count = f" ({part['n_regions']} regions)" if part.get("n_regions") else ""
    given = f" ({part['citation']})" if part.get("citation") and not keys else ""
    return (
        f"Regions were those of the {name} atlas{count}{cite(*keys)}{given}. A region of which "
        "too little was measured is kept as missing; it is neither dropped nor set to zero."
    )


def _networks(record: Record, cite: _Citer) -> str:
    """Describe the edges of each modality, saying equal definitions once."""
    kinds: dict[str, list[str]] = {}
    for modality in ("functional", "morphological", "metabolic"):
        networks = (record.get(modality) or {}).get("network") or ()
        for network in [networks] if isinstance(networks, str) else networks:
            kinds.setdefault(str(network), []).append(modality)
    signal = (record.get("morphological") or {}).get("signal")
    sentences = []
    for network, modalities in kinds.items():
        words, keys = _NETWORKS.get(network, (network, ()))
        plural = "network is" if len(modalities) == 1 else "networks is"
        sentences.append(
            f"The weight between two regions of the {_joined(modalities)} {plural} "
            f"{words}{cite(*keys)}."
        )
    if signal and sentences:
        sentences.append(f"Morphological values are {signal}.")
    return " ".join(sentences)


def _measures(part: Record, cite: _Citer) -> str:
    """Describe thresholds and measures."""
    densities = [f"{100 * float(d):g}" for d in part.get("densities", ())]
    kept = f" after keeping the strongest {_joined(densities)} % of edges" if densities else ""
    text = f"Network measures{cite('rubinov2010')} were computed{kept}"
    if part.get("efficiency", True):
        text += f", efficiency after{cite('latora2001')}"
    if part.get("modularity"):
        seed = f" (seed {part['seed']})" if part.get("seed") is not None else ""
        text += f", modules by the Louvain method{cite('blondel2008', 'newman2006')}{seed}"
    return text + "."


def _software(part: Record, cite: _Citer) -> str:
    """Name the packages with their versions."""
    names = [f"{name} {version}{cite(*([_SOFTWARE[name]] if name in _SOFTWARE else []))}"
             for name, version in part.items()]  # fmt: skip
    return f"Software: {_joined(names)}."
