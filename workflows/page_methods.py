"""What ran for one participant, for the methods paragraph of the page."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from brainnet import io
from brainnet.connectome.kinds import KINDS
from brainnet.workflows import anatomical, segment
from brainnet.workflows.choices import MNI, output_spaces

if TYPE_CHECKING:
    from brainnet.workflows.page import Page

_GIVEN = "precomputed by "
#: how the methods paragraph knows the network that segments brains
NETWORK = "network"


def record(page: "Page") -> dict[str, Any]:
    """Return what ran, for the methods paragraph."""
    record: dict[str, Any] = {"simulated": page.facts["simulated"]}
    for key, modality in page.facts["modalities"].items():
        if key == modality:
            record |= _WRITERS[modality](page, key)
    if record.keys() - {"simulated"}:
        record["atlas"] = {
            "name": page.atlas.name,
            "n_regions": page.atlas.n_regions,
            "citation": page.atlas.citation,
        }
        record["measures"] = measures_part(
            page.facts["measures"], page.facts["densities"], page.facts["seed"]
        )
        record["software"] = page.versions()
    return record


def measures_part(names: Sequence[str], densities: Sequence[float], seed: int) -> dict[str, Any]:
    """Return what the methods paragraph says of network measures; empty where there are none."""
    if not names:
        return {}
    modular = ("modul", "n_modules", "participation", "within_module")
    return {
        "densities": list(densities),
        "efficiency": any("efficiency" in name for name in names),
        "modularity": any(name.startswith(modular) for name in names),
        "seed": seed,
    }


def spaces_part(names: Sequence[str]) -> list[str]:
    """Return the further spaces of a run in words.

    Examples
    --------
    >>> spaces_part(["T1w", "MNI152NLin2009cAsym:res-2", "MNI152NLin2009cAsym"])
    ['MNI152NLin2009cAsym (2 mm)', 'MNI152NLin2009cAsym (own voxel size)']
    """
    return [
        f"{each.name} ({f'{each.voxel_size} mm' if each.voxel_size else 'own voxel size'})"
        for each in output_spaces(names)
    ]


def precomputed_by(page: "Page", key: str, output: str) -> str:
    """Return what made a mask or tissue map that was given; "" where it was made here."""
    return maker_in(page.sidecar(key, output))


def maker_in(sidecar: Mapping[str, Any]) -> str:
    """Return what made a mask or tissue map that was given, as its sidecar says; else "".

    Examples
    --------
    >>> maker_in({"Method": "precomputed by fMRIPrep 23.1.4"}), maker_in({"Method": "deepbet"})
    ('fMRIPrep 23.1.4', '')
    """
    method = str(sidecar.get("Method", ""))
    return method.removeprefix(_GIVEN) if method.startswith(_GIVEN) else ""


def mask_words(sidecar: Mapping[str, Any]) -> str:
    """Return where a brain mask comes from, as the methods paragraph wants it."""
    maker = maker_in(sidecar)
    if maker:
        return f"the brain mask that {maker} had made"
    if _by_network(sidecar):
        return NETWORK
    return "deepbet" if sidecar.get("Method") == "deepbet" else "input"


def tissue_words(sidecar: Mapping[str, Any]) -> str:
    """Return where tissue maps come from, as the methods paragraph wants it."""
    maker = maker_in(sidecar)
    if maker:
        return f"the maps that {maker} had made"
    return NETWORK if _by_network(sidecar) else anatomical.TISSUE_METHOD


def _by_network(sidecar: Mapping[str, Any]) -> bool:
    return str(sidecar.get("Method", "")).startswith(segment.METHOD)


def _kinds(page: "Page", modality: str) -> list[str]:
    """Return how the methods paragraph calls the kinds of edges of a modality."""
    return [KINDS[name].method for name in page.facts["kinds"][modality]]


def _record_morphological(page: "Page", key: str) -> dict[str, Any]:
    return {
        "anatomical": {
            "bias_correction": "N4",
            "brain_mask": mask_words(page.sidecar(key, "mask")),
            "tissue": tissue_words(page.sidecar(key, "GM")),
            "registration": "SyN" if page.facts["registration"] == "ants" else "symmetric",
            "quality": page.facts["quality"],
            "template": MNI,
        },
        "morphological": {
            "signal": "modulated grey matter",
            "network": _kinds(page, "morphological"),
        },
    }


def _record_functional(page: "Page", key: str) -> dict[str, Any]:
    known = page.sidecar(key, "timeseries")
    return {
        "functional": {
            "n_timepoints": len(io.load_table(page.path(key, "timeseries"))),
            "t_r": page.facts["metadata"][key]["RepetitionTime"],
            "motion": True,
            "registration": "rigid",
            "slice_timing": False,
            "distortion": False,
            "confounds": known["Confounds"],
            "high_pass": known["HighPass"],
            "low_pass": known["LowPass"],
            "network": _kinds(page, "functional"),
            "spaces": spaces_part(page.facts["spaces"]),
        }
    }


def _record_metabolic(page: "Page", key: str) -> dict[str, Any]:
    facts = page.facts["metadata"][key]
    return {
        "metabolic": {
            "tracer": facts.get("TracerName", "18F-FDG" if facts.get("Simulated") else "PET"),
            "reference_region": page.facts["reference_region"],
            "simulated": bool(facts.get("Simulated")),
            "network": _kinds(page, "metabolic"),
            "spaces": spaces_part(page.facts["spaces"]),
        }
    }


_WRITERS: Mapping[str, Callable[["Page", str], dict[str, Any]]] = {
    "morphological": _record_morphological,
    "functional": _record_functional,
    "metabolic": _record_metabolic,
}
