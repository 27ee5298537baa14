"""A name or a path to an atlas: labels image, region table, space, licence, citation.

The volumes are not ours to carry: each folder of ``brainnet.atlases`` says where its volume comes
from (``description.json``) and what its labels are (``regions.tsv``), and a volume is taken only
if its SHA-256 is the one that the table was made from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from brainnet import io
from brainnet.atlas import files
from brainnet.atlas import labels as label_rules
from brainnet.atlas.labels import SPACES, TEMPLATE_SPACE
from brainnet.atlas.mni import template
from brainnet.io import DataError

__all__ = [
    "REFERENCE_REGIONS",
    "SPACES",
    "TEMPLATE_SPACE",
    "Atlas",
    "available",
    "describe",
    "format_list",
    "format_one",
    "load",
    "reference_mask",
    "template",
]

_COLUMNS = ["index", "name", "hemisphere", "network", "kind", "x", "y", "z"]
REFERENCE_REGIONS = {
    "cerebellar_grey": (8, 47),
    "whole_cerebellum": (7, 8, 46, 47),
    "brainstem": (16,),
}


@dataclass(frozen=True, eq=False)
class Atlas:
    """A parcellation: where each region is, and what it is called.

    Attributes
    ----------
    name : str
        As in file names (``seg-<name>``).
    labels_img : image (x, y, z)
        int32, RAS, 0 outside; holds the labels of `regions` and no other.
    regions : DataFrame
        One row per region, in the atlas's order: index, name, hemisphere (L, R or B for both),
        network, kind (cortex, subcortex, cerebellum, white_matter, csf, other), and the centroid
        x, y, z in mm (RAS).
    space, space_note, licence, citation, source : str
        Space by its TemplateFlow name and how that is known; the terms; the paper; the origin.
    """

    name: str
    labels_img: Nifti1Image
    regions: pd.DataFrame
    space: str
    space_note: str = "n/a"
    licence: str = "n/a"
    citation: str = "n/a"
    source: str = "n/a"

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return len(self.regions)

    @property
    def names(self) -> list[str]:
        """Names of the regions, in order."""
        return [str(name) for name in self.regions["name"]]

    @property
    def indices(self) -> NDArray[np.int64]:
        """Labels of the regions in `labels_img`, in order."""
        return self.regions["index"].to_numpy(dtype=np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the image, ready for JSON."""
        words = ("name", "n_regions", "space", "space_note", "licence", "citation", "source")
        return {word: getattr(self, word) for word in words} | {
            "regions": self.regions.to_dict(orient="records")
        }


def available() -> list[dict[str, Any]]:
    """Return the description of every atlas this installation knows, without loading a volume.

    Returns
    -------
    list of dict
        As in `describe`, sorted by name.

    Examples
    --------
    >>> [each["name"] for each in available()][:3]
    ['AAL', 'AICHA', 'DesikanKilliany']
    """
    return [describe(name) for name in files.names()]


def describe(name: str) -> dict[str, Any]:
    """Return what is known of an atlas, without loading its volume.

    Parameters
    ----------
    name : str
        One of the names in `available`.

    Returns
    -------
    dict
        name, title, n_regions, space, space_note, resolution, licence, licence_url, citation,
        source, sha256, and whether its volume is here: ``present`` and, if not, ``why_not``.

    Raises
    ------
    ValueError
        If there is no such atlas.

    Examples
    --------
    >>> describe("DesikanKilliany")["n_regions"]
    84
    """
    facts = files.description(name)
    volume = files.find_volume(name)
    why_not = "" if volume else files.remedy(facts)
    return {key: value for key, value in facts.items() if key != "volume"} | {
        "present": volume is not None,
        "why_not": why_not,
    }


def format_list() -> str:
    """Return `available` as lines of text, one atlas a line.

    Returns
    -------
    str
        Name, number of regions, space, licence, and whether the volume is here.

    Examples
    --------
    >>> print(format_list().splitlines()[0].split()[:3])
    ['name', 'regions', 'space']
    """
    rows = [("name", "regions", "space", "volume", "licence")]
    for facts in available():
        here = "here" if facts["present"] else "not here (see `atlas show`)"
        row = (facts["name"], str(facts["n_regions"]), facts["space"], here, facts["licence"])
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    line = "  ".join(f"{{:<{width}}}" for width in widths) + "  {}"
    return "\n".join(line.format(*row) for row in rows)


def format_one(name: str) -> str:
    """Return the description of an atlas and its regions as text.

    Parameters
    ----------
    name : str
        One of the names in `available`.

    Returns
    -------
    str
        One fact a line, then one region of the network a line.

    Raises
    ------
    ValueError
        If there is no such atlas.

    Examples
    --------
    >>> print(format_one("DesikanKilliany").splitlines()[0])
    name: DesikanKilliany
    """
    facts = [f"{key}: {value}" for key, value in describe(name).items() if value not in ("", None)]
    regions = _known_regions(name)
    nodes = regions.loc[regions["node"] == 1, _COLUMNS]
    return "\n".join([*facts, "", nodes.to_string(index=False, justify="left")])


def load(
    name_or_path: str | Path,
    *,
    table: str | Path | None = None,
    space: str | None = None,
    download: bool = False,
    node_only: bool = True,
) -> Atlas:
    """Load an atlas by its name, or your own from a labels image and a table.

    Parameters
    ----------
    name_or_path : str or Path
        A name in `available`, or the path of a 3-D NIfTI image of whole-number labels. A file
        that is byte for byte one of the known volumes is recognised and needs no table.
    table : path, optional
        Of your own atlas: TSV with the columns ``index`` and ``name``, and if you like
        ``hemisphere``, ``network``, ``kind`` and ``node`` (0: not a region of the network). A row
        for index 0 (the background) is ignored. Without ``hemisphere`` a region belongs to the
        side that holds three quarters of it, else to both (B).
    space : str, optional
        Of your own atlas: one of `SPACES`. Not needed where the file name has a ``space-`` or
        ``tpl-`` entity.
    download : bool
        Allow nilearn to fetch a volume from the network.
    node_only : bool
        Leave out labels that are no network nodes (white matter, ventricles, unknown).

    Returns
    -------
    Atlas

    Raises
    ------
    ValueError
        If the name is unknown, or ``table`` or ``space`` is given with a name.
    DataError
        If a volume is absent or not the expected one; if an image is 4-D, empty, or holds labels
        that are not whole; if a label has no row, a row no label, or a name or an index repeats;
        if the space is not declared or not an adult MNI space, or the labels lie outside that
        brain.

    Warns
    -----
    DataWarning
        If the space is more than 2 mm (median) from MNI152NLin2009cAsym, or was not measured.

    Examples
    --------
    >>> atlas = load("DesikanKilliany")
    >>> atlas.n_regions, atlas.names[0], atlas.space
    (84, 'Left-Cerebellum-Cortex', 'MNI152NLin6Asym')
    """
    if _looks_like_path(name_or_path):
        path = Path(name_or_path)
        known = None if table is not None else files.recognise(path)
        if known is None:
            return _load_own(path, table, space, node_only)
        return _load_known(known, path, node_only)
    if table is not None or space is not None:
        raise ValueError(
            f"table and space go with a labels image; got them with the name {name_or_path!r}. "
            "Give the path of the image instead of a name."
        )
    name = str(name_or_path)
    volume = files.find_volume(name) or (files.download(name) if download else None)
    if volume is None:
        raise DataError(
            name, "the volume of this atlas is not here", files.remedy(files.description(name))
        )
    return _load_known(name, volume, node_only)


def reference_mask(name: str = "cerebellar_grey") -> Nifti1Image:
    """Return a PET reference region in MNI space, from the DesikanKilliany volume.

    Parameters
    ----------
    name : {"cerebellar_grey", "whole_cerebellum", "brainstem"}
        Which region. It does not depend on the atlas of the network.

    Returns
    -------
    image (x, y, z)
        uint8, 1 inside.

    Raises
    ------
    ValueError
        If there is no such region.

    References
    ----------
    Lopresti et al. (2005), J Nucl Med 46:1959-1972 (cerebellar grey matter).

    Examples
    --------
    >>> mask = reference_mask("brainstem")
    >>> float(mask.get_fdata().sum()) / 1000 > 15  # ml
    True
    """
    if name not in REFERENCE_REGIONS:
        raise ValueError(
            f"reference region must be one of {sorted(REFERENCE_REGIONS)}; got {name!r}. "
            "Choose one of these."
        )
    labels_img = load("DesikanKilliany", node_only=False).labels_img
    inside = np.isin(np.asarray(labels_img.dataobj), REFERENCE_REGIONS[name])
    return label_rules.image(inside.astype(np.uint8), labels_img.affine)


def _looks_like_path(name_or_path: str | Path) -> bool:
    return isinstance(name_or_path, Path) or name_or_path.endswith((".nii", ".nii.gz"))


def _load_known(name: str, path: Path, node_only: bool) -> Atlas:
    """Load a volume that we have a description and a table for."""
    facts = files.description(name)
    regions = _known_regions(name)
    if facts["sha256"]:
        files.check_hash(path, facts["sha256"])
    else:
        listed = path.with_name(facts["volume"]["names_file"])
        files.check_fetched_names(listed, regions["name"].tolist())
    img = label_rules.read_labels(path)
    label_rules.check_labels(img, regions, path, files.folder(name) / "regions.tsv")
    label_rules.check_space(facts["space"], path)
    words = ("space", "space_note", "licence", "citation", "source")
    return _assemble(name, img, regions, node_only, **{word: facts[word] for word in words})


def _known_regions(name: str) -> pd.DataFrame:
    """Our table of a known atlas, every label of its volume."""
    regions = io.load_table(files.folder(name) / "regions.tsv", required=[*_COLUMNS, "node"])
    return regions.assign(network=regions["network"].astype(object).fillna("n/a"))


def _load_own(path: Path, table: str | Path | None, space: str | None, node_only: bool) -> Atlas:
    """Load a user's labels image and table, with everything checked."""
    img = label_rules.read_labels(path)
    if table is None:
        raise DataError(
            path,
            "is no atlas known here, and no table says what its labels are",
            "Give table='regions.tsv' with the columns index and name",
        )
    declared = label_rules.declared_space(path, space)
    label_rules.check_space(declared, path)
    regions = label_rules.own_regions(img, Path(table), path)
    label_rules.check_inside(img, template("mask"), path, declared)
    return _assemble(
        _own_name(path),
        img,
        regions,
        node_only,
        space=declared,
        source=f"{path.name} with {Path(table).name}",
    )


def _own_name(path: Path) -> str:
    """Return the name that results bear: of the parcellation, its scale and variant.

    It is no known atlas's, since the image may differ from that one.
    """
    stem = label_rules.entity(path, "seg", "atlas")
    variant = [label_rules.entity(path, key) for key in ("scale", "desc")] if stem else []
    whole = "".join(part for part in (stem, *variant) if part) or path.name.split(".")[0]
    name = re.sub(r"[^A-Za-z0-9]", "", whole)
    return f"{name}Own" if name in files.names() else name


def _assemble(
    name: str, img: Nifti1Image, regions: pd.DataFrame, node_only: bool, **words: str
) -> Atlas:
    """Keep the nodes, in the image and in the table alike."""
    kept = regions[regions["node"].astype(int) == 1] if node_only else regions
    kept = kept[_COLUMNS].reset_index(drop=True).astype({"index": np.int64})
    labels = np.asarray(img.dataobj)
    labels = np.where(np.isin(labels, kept["index"].to_numpy()), labels, 0).astype(np.int32)
    return Atlas(name, label_rules.image(labels, img.affine), kept, **words)
