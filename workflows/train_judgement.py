"""After training on head CT: what turns the network's outlines into statements, in its card."""

from pathlib import Path
from typing import TYPE_CHECKING

from brainnet.io.files import warn

if TYPE_CHECKING:
    from brainnet.models.voxel.haemorrhage.synthesis import HaemorrhageSynthesis

__all__ = ["judge"]

_FIRST = 2**41  # scans that no training reaches
_VOXEL_SIZE = 1.5  # mm
_FOR_EDGE = 4  # one of so many scans


def judge(folder: Path, synthesis: "HaemorrhageSynthesis", *, n_scans: int, progress: bool) -> None:
    """Fit a judgement to whole heads that the network has not seen, and write it in its card.

    The heads are synthesised from the maps that it was trained on: what is held out stays so.

    Parameters
    ----------
    folder : pathlib.Path
        Of the network and its card.
    synthesis : HaemorrhageSynthesis
        As in training.
    n_scans : int
    progress : bool
        Show a bar.

    Warns
    -----
    DataWarning
        Nothing could be fitted, as of a network that finds nothing: the card stays as it is.
    """
    import torch
    from tqdm import tqdm

    from brainnet.imaging.hounsfield import NotACT
    from brainnet.models.core.checkpoint import CARD, save_checkpoint
    from brainnet.models.voxel.haemorrhage.calibrate import (
        best_edge,
        case_of,
        dice_at,
        fit_judgement,
        made_scan,
    )  # fmt: skip
    from brainnet.models.voxel.haemorrhage.outline import Judgement
    from brainnet.models.voxel.haemorrhage.read import outline_ct
    from brainnet.models.voxel.segment import load_segmenter

    segmenter = load_segmenter(folder, task="haemorrhage")
    heads = synthesis.whole(_VOXEL_SIZE)
    every, cases = Judgement(least=0.0), []
    dices: list[list[float]] = []
    for number in tqdm(range(n_scans), desc="judging", unit="scan", disable=not progress):
        if number == n_scans // _FOR_EDGE:  # those before decide where outlines run
            every = Judgement(least=0.0, edge=best_edge(dices) if dices else every.edge)
        img, truth = made_scan(heads, _FIRST + number)
        try:
            outlined = outline_ct(img, segmenter, judgement=every)
        except NotACT:  # a scan of which the field of view shows too little
            continue
        if number >= n_scans // _FOR_EDGE:
            cases.append(case_of(outlined, truth > 0, img.affine))
        elif (truth > 0).any():
            dices.append(dice_at(outlined, truth > 0, img.affine))
    try:
        judgement = fit_judgement(cases, edge=every.edge)
    except ValueError as error:
        what = f"no probabilities and intervals were fitted: {str(error).rstrip('.')}"
        warn(folder / CARD, what, "Those of no network in particular are used")
        return
    card = segmenter.card | {"judgement": judgement.record() | {"n_scans": len(cases)}}
    save_checkpoint(folder, segmenter.network, card, dtype=torch.bfloat16)
