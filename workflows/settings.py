"""What a run of the participant level may be told, in one frozen record."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

#: what the registration of T1w to MNI may cost: 1 mm for results, 2 mm for a quick look
Quality = Literal["standard", "draft"]
#: who registers: brainnet itself, or ANTs
Registration = Literal["fast", "ants"]


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
    quality : {"standard", "draft"}
        Registration to MNI on the 1 mm or on the 2 mm template.
    registration : {"fast", "ants"}
        brainnet's own registration or ANTs', for every image.
    reference_region : str
        Reference of SUVR: ``cerebellar_grey``, ``whole_cerebellum`` or ``brainstem``.
    simulate_pet : bool
        Simulate a PET image for participants that have a T1w and none.
    densities : sequence of float
        Shares of strongest edges on which network measures are taken.
    seed : int
        Seed of every random step.
    """

    atlas: str = "DesikanKilliany"
    atlas_path: Path | None = None
    atlas_table: Path | None = None
    atlas_space: str | None = None
    skull_strip: Literal["auto", "force", "skip"] = "auto"
    quality: Quality = "standard"
    registration: Registration = "fast"
    reference_region: str = "cerebellar_grey"
    simulate_pet: bool = False
    densities: Sequence[float] = (0.10, 0.15, 0.20, 0.25)
    seed: int = 0

    def atlas_files(self) -> dict[str, Path]:
        """Return the user's own atlas files, which are inputs of every step that uses them."""
        files = {"atlas": self.atlas_path, "atlas_table": self.atlas_table}
        return {name: path for name, path in files.items() if path is not None}
