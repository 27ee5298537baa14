"""What a run of the participant level may be told, in one frozen record."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from brainnet.workflows import choices

#: what the registration of T1w to MNI may cost: 1 mm for results, 2 mm for a quick look
Quality = Literal["standard", "draft"]
#: who registers: brainnet itself, or ANTs
Registration = Literal["fast", "ants"]
#: who finds brain and tissue in a T1w: deepbet and a Gaussian mixture, or brainnet's own network
Segmentation = Literal["mixture", "network"]


@dataclass(frozen=True)
class Settings:
    """Choices of one run, the same for every participant.

    Attributes
    ----------
    atlas : str
        Name of an atlas (``brainnet atlas list``); a labels image stands in ``atlas_path``.
    atlas_path, atlas_table : pathlib.Path, optional
        A labels image of the user's own and its table (``index``, ``name``).
    atlas_space : str, optional
        Space of the own atlas, such as MNI152NLin2009cAsym, where its file name does not say.
    skull_strip : {"auto", "force", "skip"}
        ``auto`` leaves alone a T1w that is already stripped.
    segmentation : {"mixture", "network"}
        Brain mask by deepbet and tissue by a Gaussian mixture, or both by brainnet's network,
        which gives labels and volumes of subcortical structures too.
    quality : {"standard", "draft"}
        Registration to MNI on the 1 mm or on the 2 mm template.
    registration : {"fast", "ants"}
        brainnet's own registration or ANTs', for every image.
    reference_region : str
        Reference of SUVR: ``cerebellar_grey``, ``whole_cerebellum`` or ``brainstem``.
    simulate_pet : bool
        Simulate a PET image for participants that have a T1w and none.
    output_spaces : sequence of str
        Spaces in which images are written, as fMRIPrep names them: ``MNI152NLin2009cAsym``,
        ``MNI152NLin2009cAsym:res-2``. ``T1w`` is always written: networks come from it.
    connectome : sequence of str
        Kinds of edges (``brainnet.connectome.kinds.KINDS``), each a network of its own. Where
        none is for the signal of a modality, it has the default: ``pearson`` or ``js``.
    measures : sequence of str
        Network measures or groups of them (``choices.GROUPS``), or ``none``.
    measured : {"first", "all"}
        Networks that measures are taken of: each modality's first kind, or every kind.
    derivatives : sequence of pathlib.Path
        BIDS derivatives (of fMRIPrep, say) whose brain masks and tissue maps of the T1w images
        are used in place of our own; the first that has one counts.
    densities : sequence of float
        Shares of strongest edges on which network measures are taken.
    seed : int
        Seed of every random step.
    task_id : sequence of str, optional
        Only BOLD runs of these tasks, with or without ``task-``; default all.
    bids_filter_file : pathlib.Path, optional
        JSON file of what scans to take (`brainnet.bids.load_filters`).
    anat_only : bool
        Leave BOLD and PET alone.
    reports_only : bool
        Write the pages again from what is there; run nothing else.
    validate : bool
        Ask the BIDS validator, where it is installed, before anything runs.

    Raises
    ------
    ValueError
        If a space, kind of edges or measure is unknown, or choices contradict one another.
    """

    atlas: str = "DesikanKilliany"
    atlas_path: Path | None = None
    atlas_table: Path | None = None
    atlas_space: str | None = None
    skull_strip: Literal["auto", "force", "skip"] = "auto"
    segmentation: Segmentation = "mixture"
    quality: Quality = "standard"
    registration: Registration = "fast"
    reference_region: str = "cerebellar_grey"
    simulate_pet: bool = False
    output_spaces: Sequence[str] = ("T1w",)
    connectome: Sequence[str] = ("pearson", "js")
    measures: Sequence[str] = ("standard",)
    measured: Literal["first", "all"] = "first"
    derivatives: Sequence[Path] = ()
    densities: Sequence[float] = (0.10, 0.15, 0.20, 0.25)
    seed: int = 0
    task_id: Sequence[str] | None = None
    bids_filter_file: Path | None = None
    anat_only: bool = False
    reports_only: bool = False
    validate: bool = False

    def __post_init__(self) -> None:
        """Refuse what there is not, and choices that contradict one another."""
        choices.check(self.output_spaces, self.connectome, self.measures)
        if self.anat_only and self.simulate_pet:
            raise ValueError("simulate_pet (--simulate-pet) must not be given with anat_only "
                             "(--anat-only), which leaves PET alone. Leave one out.")  # fmt: skip
        if self.segmentation not in ("mixture", "network"):
            raise ValueError("segmentation (--segmentation) must be mixture or network; got "
                             f"{self.segmentation!r}.")  # fmt: skip
        if self.segmentation == "network" and self.skull_strip == "skip":
            raise ValueError("skull_strip (--skull-strip) must not be skip with segmentation "
                             "(--segmentation) network, which finds the brain itself. Leave one "
                             "out.")  # fmt: skip

    def atlas_files(self) -> dict[str, Path]:
        """Return the user's own atlas files, which are inputs of every step that uses them."""
        files = {"atlas": self.atlas_path, "atlas_table": self.atlas_table}
        return {name: path for name, path in files.items() if path is not None}
