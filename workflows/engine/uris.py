"""How a file is named in a record: by its dataset, not by where that lies."""

from pathlib import Path

from brainnet import io

__all__ = ["dataset_of", "uri_from"]


def dataset_of(path: Path) -> Path | None:
    """Return the top of the BIDS dataset in which a file lies; None if in none."""
    for folder in path.absolute().parents:
        if (folder / "dataset_description.json").exists():
            return folder
    return None


def uri_from(home: Path | None, path: Path) -> str:
    """Return a BIDS URI that does not depend on where the datasets lie; else the file's name.

    Parameters
    ----------
    home : pathlib.Path or None
        Top of the dataset in whose sidecar the URI will stand.
    path : pathlib.Path
        The file.
    """
    root = dataset_of(path)
    if root is None:
        return path.name
    inside = path.absolute().relative_to(root).as_posix()
    if root == home:
        return f"bids::{inside}"
    kind = io.load_json(root / "dataset_description.json").get("DatasetType", "raw")
    return f"bids:{_link(root, home) or kind}:{inside}"


def _link(root: Path, home: Path | None) -> str | None:
    """Return the name by which a dataset's description links another one."""
    if home is None:
        return None
    links = io.load_json(home / "dataset_description.json").get("DatasetLinks")
    for name, target in links.items() if isinstance(links, dict) else ():
        if isinstance(target, str) and (home.resolve() / target).resolve() == root.resolve():
            return str(name)
    return None
