"""A user's own atlas, checked once and kept beside the results that were made with it."""

import tempfile
from dataclasses import replace
from pathlib import Path

from brainnet import atlas as atlases
from brainnet import io
from brainnet.workflows.settings import Settings


def resolve(settings: Settings, out_dir: Path) -> Settings:
    """Check the atlas; copy one of the user's own into ``out_dir/atlas`` and point there.

    Parameters
    ----------
    settings : Settings
        With a known atlas's name, or the user's labels image, table and space.
    out_dir : pathlib.Path
        The derivatives dataset.

    Returns
    -------
    Settings
        For an own atlas: its name as results bear it, and the files of the copy, whose name
        declares the space. Otherwise ``settings``.

    Raises
    ------
    brainnet.io.DataError, ValueError
        If the atlas is unknown, not here, in another space, or image and table disagree.
    """
    resolved, stale = planned(settings, out_dir)
    if stale:
        own = _load(settings)
        assert resolved.atlas_path is not None
        assert resolved.atlas_table is not None
        io.save_img(own.labels_img, resolved.atlas_path)
        io.save_table(own.regions, resolved.atlas_table)
    return resolved


def planned(settings: Settings, out_dir: Path) -> tuple[Settings, list[Path]]:
    """Return what `resolve` would, and the files that it would write; nothing is written.

    Raises
    ------
    brainnet.io.DataError, ValueError
        As `resolve`.
    """
    if settings.atlas_path is None:
        atlases.load(settings.atlas)
        return settings, []
    own = _load(settings)
    stem = out_dir / "atlas" / f"space-{own.space}_seg-{own.name}_dseg"
    labels, table = stem.with_name(f"{stem.name}.nii.gz"), stem.with_name(f"{stem.name}.tsv")
    resolved = replace(settings, atlas=own.name, atlas_path=labels, atlas_table=table)
    with tempfile.TemporaryDirectory(prefix="brainnet-atlas-") as folder:
        fresh = [Path(folder) / path.name for path in (labels, table)]
        io.save_img(own.labels_img, fresh[0])
        io.save_table(own.regions, fresh[1])
        pairs = list(zip((labels, table), fresh, strict=True))
        return resolved, [path for path, new in pairs if not _same(path, new)]


def _load(settings: Settings) -> atlases.Atlas:
    assert settings.atlas_path is not None
    return atlases.load(settings.atlas_path, table=settings.atlas_table, space=settings.atlas_space)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and io.sha256(one) == io.sha256(other)
