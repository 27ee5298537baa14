"""A user's own atlas, checked once and kept beside the results that were made with it."""

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
    if settings.atlas_path is None:
        atlases.load(settings.atlas)
        return settings
    own = atlases.load(settings.atlas_path, table=settings.atlas_table, space=settings.atlas_space)
    stem = out_dir / "atlas" / f"space-{own.space}_seg-{own.name}_dseg"
    labels, table = stem.with_name(f"{stem.name}.nii.gz"), stem.with_name(f"{stem.name}.tsv")
    io.save_img(own.labels_img, labels)
    io.save_table(own.regions, table)
    return replace(settings, atlas=own.name, atlas_path=labels, atlas_table=table)
