"""The label table of a segmentation task: what the network tells apart, and what it writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from brainnet.io import DataError, load_table, load_text

__all__ = ["LabelTable", "load_labels"]

_COLUMNS = ("index", "name", "structure", "side", "tissue", "sources")
TISSUES = ("GM", "WM", "CSF")
_SIDES = ("left", "right")
#: Label maps hold numbers below this.
MAX_SOURCE = 4096
#: Label maps are written in int16.
_MAX_INDEX = 32767
#: A table with this structure has all that lies in the skull.
OUTER_FLUID = "extracerebral CSF"
#: FreeSurfer's number on the right of each that has a left.
RIGHT_OF: Mapping[int, int] = {
    **{left: left + 39 for left in (2, 3, 4, 5, 7, 8, 10, 11, 12, 13)},
    **{17: 53, 18: 54, 25: 57, 26: 58, 28: 60, 30: 62, 136: 163, 137: 164},
}


@dataclass(frozen=True)
class LabelTable:
    """Labels, the structures they are sides of, and the source numbers that make them.

    A network tells *structures* apart (one channel each, background first) and, where the table
    has sides, the side by one channel more: left and right hippocampus share all that is learned
    about a hippocampus.

    Parameters
    ----------
    regions : DataFrame
        One row a label: ``index`` (1 to 32767, unique), ``name``, ``structure``, ``side``
        (``left``, ``right`` or missing), ``tissue`` (``GM``, ``WM``, ``CSF`` or missing) and
        ``sources`` (numbers in the label maps that train it, separated by commas). A structure
        has a row without a side, or one for each side.

    Raises
    ------
    ValueError
        A column missing, or a row that breaks one of these rules.

    Examples
    --------
    >>> table = load_labels("brain")
    >>> len(table.regions), table.n_structures, table.n_channels
    (32, 18, 20)
    >>> table.structures[:2]
    ('cerebral white matter', 'cerebral cortex')
    """

    regions: pd.DataFrame

    def __post_init__(self) -> None:
        regions = self.regions
        missing = [name for name in _COLUMNS if name not in regions]
        if missing or not len(regions):
            what = f"columns {', '.join(missing)} missing" if missing else "no row"
            raise ValueError(f"regions must have a row a label; got {what}. Add them.")
        index = pd.to_numeric(regions["index"], errors="coerce")
        if not index.between(1, _MAX_INDEX).all() or (index % 1).any() or index.duplicated().any():
            raise ValueError(
                f"regions must have an index from 1 to {_MAX_INDEX}, once each; got "
                f"{', '.join(map(str, regions['index'])):.60}. Number them anew."
            )
        for column, known in (("side", _SIDES), ("tissue", TISSUES)):
            given = regions[column].dropna()
            if not given.isin(known).all():
                raise ValueError(
                    f"{column} must be {', '.join(known)} or missing; got "
                    f"{given[~given.isin(known)].iloc[0]!r}. Correct it."
                )
        for structure, sides in regions.groupby("structure", dropna=False)["side"]:
            if sorted("" if pd.isna(each) else each for each in sides) not in ([""], [*_SIDES]):
                raise ValueError(
                    "structures must have one row without a side, or a left and a right one; got "
                    f"{', '.join(map(str, sides))} for {structure!r}. Add or join rows."
                )
        cells = [each.strip() for row in regions["sources"] for each in str(row).split(",")]
        sources = [int(each) if each.isdecimal() else 0 for each in cells]
        if len(set(sources)) < len(sources) or not all(0 < each < MAX_SOURCE for each in sources):
            raise ValueError(
                f"sources must be numbers from 1 to {MAX_SOURCE - 1}, each in one row; got "
                f"{', '.join(cells):.60}. Give every source number to one label."
            )

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]]) -> "LabelTable":
        """Return the table that :meth:`rows` gave, as a model card holds it.

        Raises
        ------
        ValueError
            As for a table that breaks a rule.

        Examples
        --------
        >>> table = load_labels("brain")
        >>> LabelTable.from_rows(table.rows()).structures == table.structures
        True
        """
        return cls(pd.DataFrame([dict(row) for row in rows], dtype=object).infer_objects())

    def rows(self) -> list[dict[str, Any]]:
        """Return the table as JSON holds it: a dict a label, ``None`` where there is no side."""
        rows = self.regions.loc[:, list(_COLUMNS)].astype(object)
        plain = rows.where(rows.notna(), None).to_dict("records")
        return [{str(name): value for name, value in row.items()} for row in plain]

    @cached_property
    def structures(self) -> tuple[str, ...]:
        """Names of the structures, in the table's order, background left out."""
        return tuple(dict.fromkeys(self.regions["structure"]))

    @property
    def n_structures(self) -> int:
        """Number of structures, background left out."""
        return len(self.structures)

    @cached_property
    def has_sides(self) -> bool:
        """Whether any structure has a left and a right."""
        return bool(self.regions["side"].isin(_SIDES).any())

    @property
    def is_whole(self) -> bool:
        """Whether the structures are all that lies in the skull, the outer fluid too."""
        return OUTER_FLUID in self.structures

    @property
    def n_channels(self) -> int:
        """Channels of a network: background, structures and, where there are sides, the side."""
        return 1 + self.n_structures + self.has_sides

    @cached_property
    def indices(self) -> NDArray[np.int32]:
        """``(n_labels + 1,)`` numbers written in label maps; background 0 first."""
        return np.concatenate([[0], self.regions["index"]]).astype(np.int32)

    @cached_property
    def structure_of(self) -> Tensor:
        """``(MAX_SOURCE,)`` int64: the structure of each source number, 0 for background."""
        found = torch.zeros(MAX_SOURCE, dtype=torch.int64)
        for structure, sources in zip(self.regions["structure"], self._sources(), strict=True):
            found[sources] = 1 + self.structures.index(structure)
        return found

    @cached_property
    def side_of(self) -> Tensor:
        """``(MAX_SOURCE,)`` int64: 0 without a side, 1 left, 2 right, of each source number."""
        found = torch.zeros(MAX_SOURCE, dtype=torch.int64)
        for side, sources in zip(self.regions["side"], self._sources(), strict=True):
            found[sources] = 1 + _SIDES.index(side) if side in _SIDES else 0
        return found

    @cached_property
    def index_of(self) -> NDArray[np.int32]:
        """``(MAX_SOURCE,)`` the label of each source number, 0 for background."""
        found = np.zeros(MAX_SOURCE, dtype=np.int32)
        for index, sources in zip(self.regions["index"], self._sources(), strict=True):
            found[sources] = index
        return found

    @cached_property
    def twin_of(self) -> Tensor:
        """``(MAX_SOURCE,)`` int64: the left number of a right one, else the number itself.

        Both sides of a structure have the same contrast, so they share its draw; FreeSurfer's
        sides too where the table does not tell them apart.
        """
        twin = torch.arange(MAX_SOURCE)
        for left, right in RIGHT_OF.items():
            if self.structure_of[left] == self.structure_of[right]:
                twin[right] = left
        for structure in self.structures:
            sides = [self._sides_sources(structure, side) for side in _SIDES]
            for left, right in zip(*sides, strict=False):
                twin[right] = left
        return twin

    def probabilities(self, logits: Tensor) -> Tensor:
        """Turn a network's output into probabilities of labels.

        The probability of a label with a side is that of its structure times that of its side.

        Parameters
        ----------
        logits : (n_batch, n_channels, ...) tensor

        Returns
        -------
        (n_batch, n_labels + 1, ...) float32 tensor
            In [0, 1], summing to 1 over labels, in the order of `indices`.
        """
        shares = logits[:, : 1 + self.n_structures].float().softmax(dim=1)
        labels = [shares[:, :1]]
        right = logits[:, -1:].float().sigmoid() if self.has_sides else None
        for structure, side in zip(self.regions["structure"], self.regions["side"], strict=True):
            channel = 1 + self.structures.index(structure)
            share = shares[:, channel : channel + 1]
            if side in _SIDES and right is not None:
                share = share * (right if side == "right" else 1 - right)
            labels.append(share)
        return torch.cat(labels, dim=1)

    def _sources(self) -> list[list[int]]:
        return [[int(each) for each in str(cell).split(",")] for cell in self.regions["sources"]]

    def _sides_sources(self, structure: str, side: str) -> list[int]:
        rows = (self.regions["structure"] == structure) & (self.regions["side"] == side)
        return [
            each
            for sources, row in zip(self._sources(), rows, strict=True)
            if row
            for each in sources
        ]


def load_labels(name: str | Path) -> LabelTable:
    """Return the label table of a task of the package, or one from a file.

    Parameters
    ----------
    name : str or path
        ``brain``, or a ``.tsv`` with the columns of :class:`LabelTable`.

    Raises
    ------
    ValueError
        The package has no such table.
    DataError
        No such file; a column missing; a row that breaks a rule of :class:`LabelTable`.
    """
    path = Path(name)
    if path.suffix != ".tsv":
        folder = Path(str(resources.files("brainnet.models.voxel") / "tables"))
        path = folder / f"{name}.tsv"
        if not path.is_file():
            head = "\t".join(_COLUMNS)
            tables = [each for each in folder.glob("*.tsv") if load_text(each).startswith(head)]
            there = ", ".join(sorted(each.stem for each in tables))
            raise ValueError(f"labels must be {there}, or the path of a .tsv; got {str(name)!r}.")
    regions = load_table(path, required=_COLUMNS).loc[:, list(_COLUMNS)]
    regions["sources"] = regions["sources"].astype(str)
    try:
        return LabelTable(regions)
    except ValueError as error:
        raise DataError(path, str(error), "See the table of the package's brain task") from error
