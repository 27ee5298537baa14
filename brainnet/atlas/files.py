"""Where the volumes of the known atlases are, and whether they are the right ones."""

from __future__ import annotations

import os
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from brainnet import io
from brainnet.io import DataError

PATH_VARIABLE = "BRAINNET_ATLAS_PATH"


@cache
def names() -> tuple[str, ...]:
    """Names of the atlases that have a folder, sorted."""
    root = Path(str(resources.files("brainnet.atlases")))
    return tuple(sorted(path.parent.name for path in root.glob("*/description.json")))


def folder(name: str) -> Path:
    """Folder of a known atlas, or an error that lists the names there are."""
    if name not in names():
        raise ValueError(
            f"atlas must be one of {', '.join(names())}, or the path of a labels image; "
            f"got {name!r}. See `brainnet atlas list`."
        )
    return Path(str(resources.files("brainnet.atlases"))) / name


def description(name: str) -> dict[str, Any]:
    """Content of an atlas's description.json."""
    return io.load_json(folder(name) / "description.json")


def find_volume(name: str) -> Path | None:
    """Path of a known atlas's volume, None where it is not on this machine."""
    volume = description(name)["volume"]
    if volume["kind"] == "package":
        return package_file(volume["distribution"], volume["file"])
    folders = _path_folders() if volume["kind"] == "path" else _nilearn_folders()
    found = (each / volume["file"] for each in folders)
    return next((path for path in found if path.is_file()), None)


def package_file(distribution: str, file: str) -> Path | None:
    """Path of a data file of an installed distribution, which need not be importable."""
    try:
        path = Path(str(metadata.distribution(distribution).locate_file(file)))
    except metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def remedy(facts: dict[str, Any]) -> str:
    """What to do to have the volume that a description speaks of."""
    volume = facts["volume"]
    if volume["kind"] == "package":
        return f"pip install {volume['distribution']}=={volume['version']}"
    if volume["kind"] == "path":
        return (
            f"Get {volume['file']} from {volume['url']} and set {PATH_VARIABLE} to its folder, "
            "or give its path instead of the name"
        )
    return (
        f"Let nilearn fetch it once (needs network): atlas.load({facts['name']!r}, download=True)"
    )


def check_hash(path: Path, expected: str) -> None:
    """Raise unless the file is, byte for byte, the one that our table describes."""
    found = io.sha256(path)
    if found != expected:
        raise DataError(
            path,
            f"is not the expected file: its SHA-256 is {found[:12]}..., not {expected[:12]}...",
            "Get the version that description.json names, or load it as your own atlas by "
            "path with table= and space=",
        )


def recognise(path: Path) -> str | None:
    """Name of the known atlas whose volume this file is, None if it is none of them."""
    if not path.is_file():
        return None
    found = io.sha256(path)
    return next((name for name in names() if description(name)["sha256"] == found), None)


def download(name: str) -> Path | None:
    """Fetch a volume by nilearn's fetcher; None for atlases that have another origin."""
    volume = description(name)["volume"]
    if volume["kind"] != "nilearn":
        return None
    from nilearn import datasets

    fetched = datasets.fetch_atlas_schaefer_2018(**volume["arguments"], verbose=0)
    return Path(fetched["maps"])


def check_fetched_names(path: Path, expected: list[str]) -> None:
    """Raise unless the name list beside a fetched volume agrees with our table."""
    if not path.is_file():
        raise DataError(path, "is missing beside its volume", "Delete the folder, fetch again")
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line]
    found = [row[1] for row in rows if len(row) > 1]
    if found != expected:
        pairs = zip(found, expected, strict=False)
        first = next((pair for pair in pairs if pair[0] != pair[1]), (len(found), len(expected)))
        raise DataError(
            path,
            f"names other regions than our table: {first[0]} where {first[1]} is expected",
            "Fetch release v0.14.3 or later of the Schaefer parcellation",
        )


def _path_folders() -> list[Path]:
    return [Path(each) for each in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if each]


def _nilearn_folders() -> list[Path]:
    """Folders where nilearn keeps what it fetched, as it looks for them itself."""
    listed = [os.environ.get(name, "") for name in ("NILEARN_SHARED_DATA", "NILEARN_DATA")]
    roots = [Path(each) for entry in listed for each in entry.split(os.pathsep) if each]
    return [root / "schaefer_2018" for root in [*roots, Path.home() / "nilearn_data"]]
