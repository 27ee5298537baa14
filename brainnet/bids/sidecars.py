"""The JSON sidecars of a dataset and the principle of inheritance.

A sidecar applies to an image of its suffix that has all of its entities, in its own folder and
below. The closer folder wins, field by field. The standard wants no more than one that applies in
a folder; where there are several, the one with more entities wins, and two with equally many must
not give one field two values: which of them was meant cannot be known.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from brainnet import io
from brainnet.bids.names import parse
from brainnet.io import DataError

_Values = tuple[str, ...]
_Named = dict[tuple[str, ...], dict[_Values, list[str]]]  # by entities, then by their values


class Sidecars:
    """Sidecars by folder: each folder is given once, each file read once.

    Parameters
    ----------
    root : Path
        Top of the dataset.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._top = root, os.fspath(root).rstrip("/")
        self._tables: dict[str, dict[str, _Named]] = {}  # by folder, then by suffix
        self._read: dict[str, dict[str, Any] | DataError] = {}

    def add(self, folder: str, names: list[str]) -> None:
        """Tell the names of the JSON files of a folder, given from the top; ``""`` is the top."""
        table: dict[str, _Named] = {}
        for name in names:
            entities, suffix = parse(name.removesuffix(".json"))
            if suffix:
                keys = tuple(sorted(entities))
                values = tuple(entities[key] for key in keys)
                by_values = table.setdefault(suffix, {}).setdefault(keys, {})
                by_values.setdefault(values, []).append(name)
        self._tables[folder] = table

    def forget(self, folder: str) -> None:
        """Drop what was kept of a folder whose images are done."""
        for named in self._tables.pop(folder, {}).values():
            for by_values in named.values():
                for names in by_values.values():
                    for name in names:
                        self._read.pop(f"{folder}/{name}", None)

    def metadata(
        self, folders: list[str], entities: Mapping[str, str], suffix: str
    ) -> dict[str, Any]:
        """Return what applies to an image in the last of the folders, given from the top down."""
        merged: dict[str, Any] = {}
        for folder in folders:
            table = self._tables.get(folder)
            if table and suffix in table:
                merged |= self._of_folder(folder, table[suffix], entities)
        return merged

    def _of_folder(self, folder: str, named: _Named, entities: Mapping[str, str]) -> dict[str, Any]:
        """Return what a folder says, the sidecars with more entities last."""
        found = sorted(self._applying(named, entities))
        if not found:
            return {}
        if len(found) == 1:
            return self._load(folder, found[0][1])
        merged: dict[str, Any] = {}
        said: dict[str, tuple[int, str]] = {}
        for size, name in found:
            for key, value in self._load(folder, name).items():
                if key in said and said[key][0] == size and merged[key] != value:
                    raise self._contradiction(folder, key, said[key][1], name)
                merged[key], said[key] = value, (size, name)
        return merged

    @staticmethod
    def _applying(named: _Named, entities: Mapping[str, str]) -> Iterator[tuple[int, str]]:
        """Yield number of entities and name of each sidecar that applies."""
        for keys, by_values in named.items():
            if all(key in entities for key in keys):
                for name in by_values.get(tuple(entities[key] for key in keys), ()):
                    yield len(keys), name

    def _contradiction(self, folder: str, key: str, one: str, other: str) -> DataError:
        what = (
            f"and {one} beside it both apply to one image and give {key!r} two values, and "
            "neither is more specific"
        )
        return DataError(self._root / folder / other, what, "Keep the field in one of them")

    def _load(self, folder: str, name: str) -> dict[str, Any]:
        """Return the content of a sidecar, or raise what was wrong with it when it was read."""
        inside = f"{folder}/{name}" if folder else name
        if inside not in self._read:
            try:
                self._read[inside] = io.load_json(Path(f"{self._top}/{inside}"))
            except DataError as error:
                self._read[inside] = DataError(error.path, error.problem, error.remedy)
        found = self._read[inside]
        if isinstance(found, DataError):
            raise DataError(found.path, found.problem, found.remedy)
        return found
