"""One participant's results to one HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image

from brainnet import atlas as atlases
from brainnet import io
from brainnet.connectome.kinds import KINDS
from brainnet.imaging import resample
from brainnet.report import figures
from brainnet.report.methods import methods_text
from brainnet.report.page import Figure, Notice, Section, Table
from brainnet.report.participant import participant_page
from brainnet.report.segmentation import quality_words, sides_table
from brainnet.workflows import anatomical, choices, networks, page_methods
from brainnet.workflows.engine.step import sidecar_path
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.networks import Result
from brainnet.workflows.settings import Settings

Paths = Mapping[str, Path]
#: how each modality's edges are called on the page
EDGES = {
    "morphological": "similarity of grey-matter distributions ({})",
    "functional": "{}",
    "metabolic": "similarity of SUVR distributions ({})",
}
#: edges drawn on the brain: this share, and no more than one can see
DRAWN_DENSITY, DRAWN_EDGES = 0.05, 200
TITLES = {"morphological": "Structure", "functional": "Function", "metabolic": "Metabolism"}


def run(
    where: Mapping[str, str | None],
    results: Sequence[Result],
    failures: Sequence[str],
    out_dir: Path,
    settings: Settings,
    steps: Steps,
) -> Path:
    """Write the page of one participant and session; return its path.

    Parameters
    ----------
    where : mapping
        ``subject`` and ``session`` (None where the dataset has none).
    results : sequence of Result
        What the pipelines made; empty if anatomy failed.
    failures : sequence of str
        What failed and why, shown first.
    out_dir, settings, steps
        As for every pipeline.
    """
    session = where["session"]
    name = f"sub-{where['subject']}" + (f"_ses-{session}" if session else "")
    path = out_dir / f"{name}{networks.run_label(settings)}.html"
    named = networks.by_name(results)
    steps.run(
        "report",
        write,
        inputs=_inputs(where, named, out_dir, settings) | settings.atlas_files(),
        outputs={"page": path},
        parameters={
            "label": where["subject"],
            "session": session,
            "atlas": settings.atlas,
            "densities": list(settings.densities),
            "measures": choices.measure_names(settings.measures),
            "kinds": {
                each: [kind.name for kind in networks.kinds_for(each, settings)]
                for each in dict.fromkeys(result.modality for result in results)
            },
            "spaces": list(settings.output_spaces),
            "modalities": {key: result.modality for key, result in named.items()},
            "metadata": {key: _facts(result) for key, result in named.items()},
            "failures": list(failures),
            "warnings": steps.warnings,
            "quality": settings.quality,
            "registration": settings.registration,
            "reference_region": settings.reference_region,
            "simulated": is_simulated(out_dir),
        },
        seed=settings.seed,
    )
    return path


def _inputs(
    where: Mapping[str, str | None], named: Mapping[str, Result], out_dir: Path, settings: Settings
) -> dict[str, Path]:
    """Return every file that the page shows."""
    inputs = {
        f"{key}:{output}": file
        for key, result in named.items()
        for output, file in result.paths.items()
    }
    measures = networks.measures_path(where, out_dir, settings)
    shown = named and choices.measure_names(settings.measures) and measures.exists()
    return inputs | ({"measures": measures} if shown else {})


def is_simulated(out_dir: Path) -> bool:
    """Say whether the dataset's name declares that its data are simulated."""
    path = out_dir / "dataset_description.json"
    name = io.load_json(path).get("Name", "") if path.exists() else ""
    return "simulated" in str(name).lower()


def _facts(result: Result) -> dict[str, Any]:
    """Keep what the page says of a scan."""
    known = ("RepetitionTime", "TaskName", "TracerName", "Simulated")
    return {key: result.scan.metadata[key] for key in known if key in result.scan.metadata} | {
        "file": result.scan.path.name
    }


def write(inputs: Paths, outputs: Paths, **facts: Any) -> None:
    """Draw every figure and save the page."""
    page = Page(inputs, facts)
    sections = [page.section(key) for key in facts["modalities"]]
    sections += page.absent()
    sections += page.numbers()
    html = participant_page(
        subject=facts["label"],
        session=facts["session"],
        summary=page.summary(),
        sections=sections,
        warnings=[Notice("A pipeline failed", text, where="error") for text in facts["failures"]]
        + [Notice(text) for text in facts["warnings"]],
        methods=methods_text(page_methods.record(page)),
        provenance={
            "seed": facts["seed"],
            "atlas": facts["atlas"],
            **{f"scan ({key})": known["file"] for key, known in facts["metadata"].items()},
            **page.versions(),
        },
        simulated=facts["simulated"],
    )
    io.save_text(html, outputs["page"])


class Page:
    """The files of one participant, read as the sections need them."""

    def __init__(self, inputs: Paths, facts: Mapping[str, Any]) -> None:
        self.inputs = inputs
        self.facts = facts
        self.atlas = networks.load_atlas(facts["atlas"], inputs)

    def path(self, key: str, output: str) -> Path:
        """Return a file of a scan."""
        return self.inputs[f"{key}:{output}"]

    def img(self, key: str, output: str) -> Nifti1Image:
        """Load an image of a scan."""
        return io.load_img(self.path(key, output))

    def sidecar(self, key: str, output: str) -> dict[str, Any]:
        """Read the sidecar of a file of a scan."""
        return io.load_json(sidecar_path(self.path(key, output)))

    def groups(self) -> list[str]:
        """Return each region's hemisphere and kind, by which matrices are divided."""
        table = self.atlas.regions
        return [f"{h} {k}" for h, k in zip(table["hemisphere"], table["kind"], strict=True)]

    def section(self, key: str) -> Section:
        """Return the section of one scan."""
        modality = self.facts["modalities"][key]
        make = {
            "morphological": self._structure,
            "functional": self._function,
            "metabolic": self._metabolism,
        }[modality]
        simulated = bool(self.facts["metadata"][key].get("Simulated"))
        figs, tables = make(key)
        figs += self._network(key, modality)
        if simulated:
            figs = [Figure(**{**fig.__dict__, "simulated": True}) for fig in figs]
        title = TITLES[modality] + ("" if key == modality else f" ({key.partition('_')[2]})")
        return Section(title, f"From {self.facts['metadata'][key]['file']}.", figs, tables)

    def absent(self) -> list[Section]:
        """Return a section for each modality of which nothing was made."""
        there = set(self.facts["modalities"].values())
        return [
            Section(title, missing="Not acquired, or not processed: see the warnings.")
            for modality, title in TITLES.items()
            if modality not in there
        ]

    def _structure(self, key: str) -> tuple[list[Figure], list[Table]]:
        t1w = self.img(key, "t1w")
        tissue = {label: self.img(key, label) for label in anatomical.TISSUES}
        before, after = figures.registration_flicker(
            atlases.template(), self.img(key, "t1w_mni"), names=("MNI", "this brain")
        )
        figs = [
            Figure(
                figures.overlay_contours(t1w, {"brain": self.img(key, "mask")}),
                f"Brain mask on the T1w image{self._origin(key, 'mask')}. The line should follow "
                "the brain's surface.",
            ),
            Figure(
                figures.overlay_contours(t1w, tissue),
                "Grey matter, white matter and cerebrospinal fluid"
                f"{self._origin(key, 'GM')}, where each is likelier than not.",
            ),
            Figure(
                before,
                "Registration to MNI152NLin2009cAsym: switch between the template and this "
                "brain. Ventricles and sulci should stay where they are.",
                after=after,
                labels=("MNI template", "this brain"),
            ),
            Figure(
                figures.atlas_overlay(t1w, self.img(key, "dseg")),
                f"{self.atlas.name} carried into native space. Colours should follow the gyri.",
            ),
        ]
        volumes = io.load_table(self.path(key, "volumes"))
        table = Table(
            "Grey-matter volume of each region",
            volumes.rename(columns={"name": "region", "value": "volume (ml)"}),
            "Sum of grey-matter probability inside the carried label, in native space; coverage is "
            "the share of the region in the scan's field of view.",
        )
        return figs, [table, *self._structures(key)]

    def _structures(self, key: str) -> list[Table]:
        """Return the table of structures where the network has segmented them."""
        if f"{key}:structures" not in self.inputs:
            return []
        quality = quality_words(self.sidecar(key, "structures_dseg")["Quality"])
        volumes = sides_table(io.load_table(self.path(key, "structures")))
        return [Table("Structures found by the network", volumes, quality)]

    def _origin(self, key: str, output: str) -> str:
        """Say who made what was not made here."""
        maker = page_methods.precomputed_by(self, key, output)
        return f", given by {maker}" if maker else ""

    def _function(self, key: str) -> tuple[list[Figure], list[Table]]:
        bold = self.img(key, "bold")
        t1w = self.img("morphological", "t1w")
        confounds = io.load_table(self.path(key, "confounds"))
        t_r = float(self.facts["metadata"][key]["RepetitionTime"])
        mean = Nifti1Image(bold.get_fdata(dtype=np.float32).mean(axis=3), bold.affine)
        dseg = self._tissue_labels(bold, self.img(key, "mask"))
        voxels, groups = figures.carpet_samples(bold, dseg, names={1: "GM", 2: "WM", 3: "CSF"})
        figs = [
            Figure(
                figures.registration_check(
                    t1w,
                    mean,
                    contour_img=self.img("morphological", "WM"),
                    names=("T1w", "mean BOLD"),
                ),
                "BOLD on T1w: the T1w image's white matter outlined over both. In the lower row "
                "the line should follow the same borders.",
            ),
            Figure(
                figures.motion_plot(confounds, t_r),
                "Head motion, framewise displacement and DVARS.",
            ),
            Figure(
                figures.carpet_plot(voxels, groups, confounds=confounds, t_r=t_r),
                "Carpet plot: one row a voxel, one column a volume. Vertical stripes are motion "
                "or artefact.",
            ),
        ]
        return figs, []

    def _tissue_labels(self, like: Nifti1Image, mask_img: Nifti1Image) -> Nifti1Image:
        """Return the likeliest tissue (1 GM, 2 WM, 3 CSF) on the grid of the BOLD run."""
        maps = [
            resample.resample(self.img("morphological", label), mask_img, order=1).get_fdata()
            for label in anatomical.TISSUES
        ]
        labels = (1 + np.argmax(maps, axis=0)) * (np.sum(maps, axis=0) > 0.5)
        labels = labels * (mask_img.get_fdata() > 0)
        return Nifti1Image(labels.astype(np.int32), like.affine)

    def _metabolism(self, key: str) -> tuple[list[Figure], list[Table]]:
        suvr = self.img(key, "suvr")
        t1w = self.img("morphological", "t1w")
        region = str(self.sidecar(key, "suvr")["ReferenceRegion"]).replace("_", " ")
        figs = [
            Figure(
                figures.registration_check(
                    t1w,
                    suvr,
                    contour_img=self.img("morphological", "WM"),
                    names=("T1w", "PET"),
                ),
                "PET on T1w: the T1w image's white matter outlined over both.",
            ),
            Figure(figures.suvr_map(suvr, t1w), f"SUVR; reference region: {region}."),
        ]
        values = io.load_table(self.path(key, "values")).rename(
            columns={"name": "region", "value": "mean SUVR"}
        )
        return figs, [Table("SUVR of each region", values, f"Reference: {region}.")]

    def _network(self, key: str, modality: str) -> list[Figure]:
        weights = io.load_matrix(self.path(key, "network"))
        coords = self.atlas.regions[["x", "y", "z"]].to_numpy(np.float64)
        kind = KINDS[self.facts["kinds"][modality][0]]
        pairs = len(weights) * (len(weights) - 1) / 2
        density = min(DRAWN_DENSITY, DRAWN_EDGES / pairs)
        return [
            Figure(
                figures.matrix_plot(weights, groups=self.groups(), label=modality),
                f"Edges: {EDGES[modality].format(kind.words)}. Hatched regions were not measured."
                + self._further(modality),
            ),
            Figure(
                figures.brain_network(
                    weights, coords, groups=list(self.atlas.regions["kind"]), density=density
                ),
                "The strongest edges; a node's size is its strength.",
            ),
        ]

    def _further(self, modality: str) -> str:
        """Say which further kinds of networks stand beside this one."""
        others = [KINDS[name].stat for name in self.facts["kinds"][modality][1:]]
        return f" Further networks of this scan: stat-{', stat-'.join(others)}." if others else ""

    def numbers(self) -> list[Section]:
        """Return the section of network measures."""
        if "measures" not in self.inputs:
            return []
        table = io.load_table(self.inputs["measures"])
        chosen = table[(table["region"] == "global") & table["value"].notna()]
        middle = sorted(self.facts["densities"])[len(self.facts["densities"]) // 2]
        near = chosen["density"].isna() | np.isclose(chosen["density"], middle)
        wide = chosen[near].pivot_table(
            index="measure", columns="modality", values="value", sort=False
        )
        return [
            Section(
                "Network measures",
                "Measures of each network on its strongest edges.",
                [Figure(figures.measures_plot(table), "Global measures against density.")],
                [
                    Table(
                        "Global measures",
                        wide.reset_index(),
                        f"At density {middle:.2f} where a measure depends on it. All measures, "
                        "densities and regions stand in the measures table beside this page.",
                    )
                ],
            )
        ]

    def summary(self) -> dict[str, object]:
        """Return the numbers at the top of the page."""
        tiles: dict[str, object] = {"Atlas": f"{self.atlas.name} ({self.atlas.n_regions} regions)"}
        for key, modality in self.facts["modalities"].items():
            coverage = io.load_table(self.path(key, "coverage"))["coverage"]
            measured = int((~io.load_matrix(self.path(key, "network")).isna().all(axis=1)).sum())
            tiles[f"{TITLES[modality]}: regions measured"] = f"{measured} of {len(coverage)}"
            if modality == "morphological":
                tiles["Brain volume (ml)"] = round(self.sidecar(key, "mask")["VolumeMillilitres"])
            if modality == "functional":
                table = io.load_table(self.path(key, "confounds"))
                tiles["Volumes"] = len(table)
                tiles["Mean FD (mm)"] = float(table["framewise_displacement"].mean())
        return tiles

    def versions(self) -> dict[str, str]:
        """Return the versions that the steps recorded."""
        if not self.facts["modalities"]:
            return {}
        return dict(self.sidecar("morphological", "t1w")["Brainnet"]["Versions"])
