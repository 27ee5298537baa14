"""The tables of a segmentation: names and colours of labels, and a row for every image."""

import colorsys
from pathlib import Path

import pandas as pd

from brainnet import io
from brainnet.io import DataError

__all__ = ["label_table", "save_labels", "save_summary"]

_GOLDEN = 0.61803398875  # of the circle of hues: neighbours in the table differ most


def label_table(regions: pd.DataFrame) -> pd.DataFrame:
    """Return the lookup table of a label map as BIDS has it, both sides of a structure alike.

    Parameters
    ----------
    regions : DataFrame
        ``index``, ``name``, ``structure``, ``side`` and ``tissue`` of
        :class:`~brainnet.models.voxel.labels.LabelTable`.

    Returns
    -------
    DataFrame
        ``index``, ``name``, ``color`` (``#rrggbb``), ``structure``, ``side``, ``tissue``.

    Examples
    --------
    >>> regions = pd.DataFrame({"index": [17, 53], "name": ["left", "right"], "tissue": "GM",
    ...                         "structure": "hippocampus", "side": ["left", "right"]})
    >>> label_table(regions)["color"].tolist()
    ['#d92121', '#d92121']
    """
    structures = list(dict.fromkeys(regions["structure"]))
    colors = {name: _color(place) for place, name in enumerate(structures)}
    table = regions[["index", "name"]].assign(color=regions["structure"].map(colors))
    return table.join(regions[["structure", "side", "tissue"]])


def _color(place: int) -> str:
    light = 0.85 if place % 2 == 0 else 1.0
    rgb = colorsys.hsv_to_rgb(place * _GOLDEN % 1.0, 0.85 if place % 3 == 0 else 0.6, light)
    return "#" + "".join(f"{round(255 * each):02x}" for each in rgb)


def save_labels(regions: pd.DataFrame, path: Path) -> None:
    """Write the lookup table, once for all label maps of a folder; see `label_table`."""
    io.save_table(label_table(regions), path)


def save_summary(out_dir: Path, ending: str) -> None:
    """Write a row for every image that has been segmented into a folder, by whatever run.

    Without any, the table of an earlier run goes.

    Parameters
    ----------
    out_dir : pathlib.Path
        Where results are.
    ending : str
        How the names of the label maps' sidecars end, which hold quality and volumes.
    """
    rows = []
    for path in sorted(out_dir.rglob(f"*{ending}")):
        try:
            known = io.load_json(path)
            quality = known["Quality"]
            rows.append({
                "image": path.name.removesuffix(ending),
                "trusted": "yes" if quality["Trusted"] else "no",
                "quality": quality["Score"],
                "brain_ml": known["BrainVolumeMillilitres"],
                "icv_ml": known["IntracranialVolumeMillilitres"],
                **{f"{k}_ml": v for k, v in known["TissueVolumesMillilitres"].items()},
                "reasons": "; ".join(quality["Reasons"]) or None,
            })  # fmt: skip
        except (DataError, KeyError, TypeError):  # of another program, or being written now
            continue
    summary = out_dir / "group_segmentation.tsv"
    if rows:
        io.save_table(pd.DataFrame(rows), summary)
    else:
        summary.unlink(missing_ok=True)
