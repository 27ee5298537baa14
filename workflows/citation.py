"""What was done in a whole run, in words, and what to cite for it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from brainnet import atlas as atlases
from brainnet import io
from brainnet.bids.names import parse
from brainnet.connectome.kinds import KINDS
from brainnet.io import DataError
from brainnet.report.methods import methods_files
from brainnet.workflows import anatomical, choices
from brainnet.workflows.page_methods import mask_words, measures_part, spaces_part, tissue_words
from brainnet.workflows.settings import Settings

_METHODS = {kind.stat: kind.method for kind in KINDS.values()}


def write_methods(
    out_dir: Path, bids_dir: Path, settings: Settings, *, labels: Sequence[str]
) -> list[Path]:
    """Write ``logs/CITATION.md`` and ``logs/CITATION.bib`` of a run.

    One text for everybody: where the participants' data made a difference (confounds that a run
    was long enough for, a brain that was already cut out), all that was done is named. Modalities
    that nobody has are not written about.

    Parameters
    ----------
    out_dir, bids_dir : Path
        The derivatives dataset and the raw one.
    settings : Settings
        Of the run.
    labels : sequence of str
        The participants, without ``sub-``.

    Returns
    -------
    list of Path
        The two files; empty where nothing of anybody was finished.
    """
    found = [_Participant(out_dir / f"sub-{label}", settings.atlas) for label in sorted(labels)]
    done = [each for each in found if each.brains]
    if not done:
        return []
    markdown, entries = methods_files(_record(done, bids_dir, settings))
    files = {"CITATION.md": markdown, "CITATION.bib": entries}
    return [io.save_text(text, out_dir / "logs" / name) for name, text in files.items()]


class _Participant:
    """The sidecars of one participant that tell what was done."""

    def __init__(self, folder: Path, atlas: str) -> None:
        self.brains = _own_space(_sidecars(folder, "anat", "*_desc-brain_mask.json"))
        self.tissues = _own_space(_sidecars(folder, "anat", "*_label-GM_probseg.json"))
        self.runs = _sidecars(folder, "func", f"*_seg-{atlas}_stat-mean_timeseries.json")
        self.scans = _sidecars(folder, "pet", "*_space-T1w_desc-suvr_pet.json")
        self.stats = {
            datatype: {
                _stat(path) for path in _files(folder, datatype, f"*_seg-{atlas}_*_relmat.json")
            }
            for datatype in ("anat", "func", "pet")
        }


def _files(folder: Path, datatype: str, pattern: str) -> list[Path]:
    """Return files of one data type of a participant, of every session."""
    return sorted(
        [*folder.glob(f"{datatype}/{pattern}"), *folder.glob(f"ses-*/{datatype}/{pattern}")]
    )


def _sidecars(folder: Path, datatype: str, pattern: str) -> list[dict[str, Any]]:
    """Return what the sidecars say, with the entities of their names; damaged ones are silent."""
    read = []
    for path in _files(folder, datatype, pattern):
        try:
            read.append(io.load_json(path) | {"entities": parse(path.stem)[0]})
        except DataError:  # the step that wrote it will run again
            continue
    return read


def _own_space(sidecars: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those of images in the scan's own space."""
    return [each for each in sidecars if "space" not in each["entities"]]


def _stat(path: Path) -> str:
    return parse(path.stem)[0].get("stat", "")


def _record(done: Sequence[_Participant], bids_dir: Path, settings: Settings) -> dict[str, Any]:
    """Return what `methods_text` writes about."""
    name = str(io.load_json(bids_dir / "dataset_description.json").get("Name", "given"))
    brains = [each for person in done for each in person.brains]
    runs = [each for person in done for each in person.runs]
    scans = [each for person in done for each in person.scans]
    regions = atlases.load(settings.atlas_path or settings.atlas, table=settings.atlas_table)
    further = spaces_part(settings.output_spaces)
    record: dict[str, Any] = {
        "dataset": {"name": name, "n_subjects": len(done)},
        "simulated": "simulated" in name.lower(),
        "anatomical": _anatomical(done, settings),
        "morphological": {"signal": "modulated grey matter", "network": _networks(done, "anat")},
        "atlas": {
            "name": regions.name, "n_regions": regions.n_regions, "citation": regions.citation,
        },
        "measures": measures_part(
            choices.measure_names(settings.measures), settings.densities, settings.seed
        ),
        "software": brains[0].get("Brainnet", {}).get("Versions", {}),
    }  # fmt: skip
    if runs:
        record["functional"] = _functional(runs) | {
            "network": _networks(done, "func"), "spaces": further,
        }  # fmt: skip
    if scans:
        record["metabolic"] = _metabolic(scans) | {
            "network": _networks(done, "pet"), "spaces": further,
        }  # fmt: skip
    return record


def _anatomical(done: Sequence[_Participant], settings: Settings) -> dict[str, Any]:
    masks = {mask_words(each) for person in done for each in person.brains}
    tissues = {tissue_words(each) for person in done for each in person.tissues}
    return {
        "bias_correction": "N4",
        "brain_mask": sorted(masks),
        "tissue": sorted(tissues) or [anatomical.TISSUE_METHOD],
        "registration": "SyN" if settings.registration == "ants" else "symmetric",
        "quality": settings.quality,
        "template": choices.MNI,
    }


def _functional(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return how BOLD was cleaned; the band is named where it was the same for all."""
    facts: dict[str, Any] = {
        "motion": True, "registration": "rigid", "slice_timing": False, "distortion": False,
        "confounds": " or ".join(_distinct(each.get("Confounds") for each in runs)),
    }  # fmt: skip
    bands = {(each.get("HighPass"), each.get("LowPass")) for each in runs}
    if len(bands) > 1:
        return facts | {"band": "band-pass filter as far as each run's length and rate allow"}
    high, low = bands.pop()
    return facts | {"high_pass": high, "low_pass": low}


def _metabolic(scans: Sequence[dict[str, Any]]) -> dict[str, Any]:
    simulated = [bool(each.get("Simulated", False)) for each in scans]
    return {
        "tracer": " and ".join(_distinct(each["entities"].get("trc") for each in scans)) or "PET",
        "reference_region": " or ".join(_distinct(each.get("ReferenceRegion") for each in scans)),
        "simulated": all(simulated),
    }


def _networks(done: Sequence[_Participant], datatype: str) -> list[str]:
    """Return the methods of the networks that there are, in the order of the table of kinds."""
    there = {stat for person in done for stat in person.stats[datatype]}
    return [method for stat, method in _METHODS.items() if stat in there]


def _distinct(values: Iterable[object]) -> list[str]:
    """Return what was said, each once, sorted."""
    return sorted({str(value) for value in values if value not in (None, "")})
