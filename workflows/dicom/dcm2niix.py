"""dcm2niix on the files of one series: one image comes out, or an error."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from nibabel.nifti1 import Nifti1Image

from brainnet import io
from brainnet.io import DataError
from brainnet.workflows.dicom.scan import INSTALL

_MINUTES: Final = 60
_LONE_BACKSLASH: Final = re.compile(r'(?<!\\)\\(?!["\\/bfnrtu])')
_RESAMPLED: Final = re.compile(r"_(Eq|Tilt)")  # how dcm2niix calls an image of equal slices
_OPTIONS: Final = ("-b", "y", "-ba", "y", "-z", "n", "-g", "i", "-d", "0", "-f", "image")


def converter() -> Path:
    """Return the program dcm2niix: the one of the Python package, or one on the path.

    Returns
    -------
    Path
        The program.

    Raises
    ------
    DataError
        If there is none.
    """
    try:
        program = import_module("dcm2niix").bin
    except (ImportError, AttributeError):
        program = shutil.which("dcm2niix")
    if not program or not Path(program).exists():
        raise DataError("dcm2niix", "the program is not installed", INSTALL)
    return Path(program)


def image(
    paths: Sequence[Path], folder: Path, *, title: str, resampled: bool
) -> tuple[Nifti1Image, dict[str, Any]]:
    """Return the image that dcm2niix makes of some files, and its sidecar.

    Files that hold a volume each and that dcm2niix does not join are joined here, in their order.

    Parameters
    ----------
    paths : sequence of Path
        DICOM files of one image.
    folder : Path
        An empty folder to work in.
    title : str
        What to call the series in an error.
    resampled : bool
        Take the image that dcm2niix resamples to equal slices.

    Returns
    -------
    img : Nifti1Image
        Checked by the gate.
    fields : dict
        What dcm2niix tells of it.

    Raises
    ------
    DataError
        dcm2niix fails, or makes several images.
    """
    images = run_converter(paths, folder / "all", title=title, resampled=resampled)
    if len(images) == 1:
        return _loaded(images[0])
    if len(images) != len(paths):
        what = f"{title} gives {len(images)} images, not one"
        remedy = "Tell them apart by ImageType or EchoTime in match, or leave it out"
        raise DataError(paths[0].parent, what, remedy)
    volumes = []
    for number, path in enumerate(paths):
        made = run_converter([path], folder / str(number), title=title, resampled=False)
        volumes.append(_loaded(made[0]))
    return _joined([img for img, _ in volumes], paths[0].parent), volumes[0][1]


def _loaded(path: Path) -> tuple[Nifti1Image, dict[str, Any]]:
    """Return an image and its sidecar; a resampled image has that of the original."""
    beside = path.with_suffix(".json")
    beside = beside if beside.exists() else path.with_name("image.json")
    # of a field with two values it keeps DICOM's backslash, which JSON does not know
    text = io.load_text(beside)
    beside.write_text(_LONE_BACKSLASH.sub(r"\\\\", text), encoding="utf-8")
    return io.load_img(path), io.load_json(beside)


def _joined(imgs: Sequence[Nifti1Image], folder: Path) -> Nifti1Image:
    """Return volumes as one series."""
    first = imgs[0]
    same = all(
        img.shape == first.shape and np.allclose(img.affine, first.affine, atol=1e-3)
        for img in imgs
    )
    if not same or first.ndim != 3:
        what = f"{len(imgs)} files that do not make one series: their grids differ"
        raise DataError(folder, what, "Leave the series out, or export it again")
    data = np.stack([np.asarray(img.dataobj) for img in imgs], axis=-1)
    return Nifti1Image(data, first.affine, first.header)


def run_converter(
    paths: Sequence[Path], folder: Path, *, title: str, resampled: bool
) -> list[Path]:
    """Return the NIfTI files that dcm2niix makes of some files."""
    source, out = folder / "dicom", folder / "nifti"
    source.mkdir(parents=True)
    out.mkdir()
    for number, path in enumerate(paths):
        _link(path.resolve(), source / f"{number:06d}.dcm")
    command = [str(converter()), *_OPTIONS, "-o", str(out), str(source)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False,
            timeout=60 * _MINUTES,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        what = f"dcm2niix did not end within {_MINUTES} minutes on {title}"
        raise DataError(paths[0].parent, what, "Convert this series by hand") from error
    images = sorted(out.glob("*.nii"))
    if resampled:
        images = [path for path in images if _RESAMPLED.search(path.name)][-1:]
    if (done.returncode and not resampled) or not images:
        complaint = _complaint(done.stdout + done.stderr, folder)
        what = f"dcm2niix failed on {title} (status {done.returncode}): {complaint}"
        raise DataError(paths[0].parent, what, "Export the series again, or leave it out")
    return images


def _link(path: Path, name: Path) -> None:
    """Give a file a second name; a copy where links are not allowed, or the preamble is missing."""
    with path.open("rb") as stream:
        bare = stream.read(2) == b"\x02\x00"  # starts with the elements that follow the preamble
    try:
        if not bare:
            name.symlink_to(path)
            return
    except OSError:
        shutil.copyfile(path, name)
        return
    io.save_bytes(bytes(128) + b"DICM" + path.read_bytes(), name)


def _complaint(text: str, folder: Path) -> str:
    """Return what dcm2niix said was wrong."""
    lines = [line.strip().replace(str(folder), "") for line in text.splitlines()]
    wrong = [line for line in lines if line.lower().startswith(("error", "warning"))]
    return "; ".join(wrong[:4]) or (lines[-1] if lines else "it said nothing")
