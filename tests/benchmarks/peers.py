"""ANTs and greedy beside brainnet: each from images in memory to both fields of a registration.

Every result has one form, total displacement images on the fixed and on the moving grid, so that
one function scores all three. The time of a tool ends before its result is brought to that form.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import ants
import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from picsl_greedy import Greedy3D  # type: ignore[import-not-found]
from scipy import ndimage

from brainnet.imaging import _ants, _diffeo, _fields, register, transforms

Array = NDArray[np.float64]
Quality = Literal["standard", "draft"]


class Ways(NamedTuple):
    """Both fields of a registration, and what each part of it took."""

    forward_img: Nifti1Image
    inverse_img: Nifti1Image
    seconds: float


def timed(function: Callable[..., Any], *args: Any, **options: Any) -> tuple[float, Any]:
    """Call a function; return the seconds it took and what it returned."""
    start = time.perf_counter()
    result = function(*args, **options)
    return time.perf_counter() - start, result


def ours(fixed: Nifti1Image, moving: Nifti1Image, *, quality: Quality) -> Ways:
    """Register with brainnet, affine included."""
    seconds, found = timed(register.register_deformable, fixed, moving, quality=quality)
    return Ways(found.forward_img, found.inverse_img, seconds)


def ours_from(fixed: Nifti1Image, moving: Nifti1Image, start: Array, *, quality: Quality) -> Ways:
    """Run the deformable part of brainnet alone."""
    images = (fixed, moving)

    def run() -> list[Nifti1Image]:
        sides = [
            _diffeo.Side(_fields.Volume(np.asarray(img.dataobj, np.float32), img.affine))
            for img in images
        ]
        fields, _ = _diffeo.deform(
            (sides[0], sides[1]), start, quality=quality, contrast="same", device="cpu"
        )
        return [_fields.field_image(f, img) for f, img in zip(fields, images, strict=True)]

    seconds, ways = timed(run)
    return Ways(ways[0], ways[1], seconds)


def ants_affine(
    fixed: Nifti1Image,
    moving: Nifti1Image,
    *,
    kind: str = "Affine",
    mask: Nifti1Image | None = None,
) -> tuple[float, Array]:
    """Align with ANTs (Mattes, its defaults); return seconds and a pull matrix in RAS mm."""
    pair = [_ants.to_ants(img.get_fdata(dtype=np.float32), img.affine) for img in (fixed, moving)]
    options = {} if mask is None else {"mask": _ants.to_ants(mask.get_fdata(), mask.affine)}
    with TemporaryDirectory() as folder:
        seconds, found = timed(
            ants.registration, *pair, kind, outprefix=f"{folder}/", aff_metric="mattes",
            random_seed=1, **options,
        )  # fmt: skip
        return seconds, _ants.read_matrix(Path(found["fwdtransforms"][0]))


def ants_deformable(
    fixed: Nifti1Image, moving: Nifti1Image, start: Array | None, **options: Any
) -> Ways:
    """Deform with ANTs: SyN on its own affine part, or SyNOnly from a given start."""
    pair = [_ants.to_ants(img.get_fdata(dtype=np.float32), img.affine) for img in (fixed, moving)]
    with TemporaryDirectory() as folder:
        kind = "SyN"
        if start is not None:
            kind, path = "SyNOnly", Path(folder) / "start.txt"
            _ants.write_matrix(start, path)
            options["initial_transform"] = str(path)
        seconds, found = timed(
            ants.registration, *pair, kind, outprefix=f"{folder}/o_", random_seed=1, **options
        )
        warp, inverse = (
            _in_memory(next(path for path in found[way] if path.endswith(".nii.gz")))
            for way in ("fwdtransforms", "invtransforms")
        )
        if start is None:
            matrix_path = next(path for path in found["fwdtransforms"] if path.endswith(".mat"))
            start = _ants.read_matrix(Path(matrix_path))
    return _total(fixed, moving, start, (warp, inverse), seconds)


def greedy_affine(fixed: Nifti1Image, moving: Nifti1Image) -> tuple[float, Array]:
    """Align with greedy: matched centres of mass, then patch correlation, documented schedule.

    From the centres of the grids (-ia-image-centers) it lost some runs.
    """
    start = np.eye(4)
    start[:3, 3] = _centre_of_mass(moving) - _centre_of_mass(fixed)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "start.mat"
        np.savetxt(path, start)
        command = f"-a -dof 12 -seed 1 -m NCC 2x2x2 -n 100x50x10 -ia {path} -o matrix"
        seconds, matrix = _greedy(fixed, moving, command, outputs=("matrix",))
    return seconds, np.asarray(matrix[0], dtype=np.float64)


def _centre_of_mass(img: Nifti1Image) -> Array:
    """Return the centre of mass of a brain in world mm."""
    centre: Array = apply_affine(img.affine, ndimage.center_of_mass(np.asarray(img.dataobj)))
    return centre


def greedy_deformable(fixed: Nifti1Image, moving: Nifti1Image, start: Array) -> tuple[Ways, float]:
    """Deform with greedy from a given start; also return what the forward field alone takes.

    To invert, greedy takes about as long as to register.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "start.mat"
        np.savetxt(path, start)
        command = f"-m NCC 2x2x2 -n 100x50x10 -wp 0 -it {path} -o warp"
        alone, _ = _greedy(fixed, moving, command, outputs=("warp",))
        command += " -oinv back"
        seconds, fields = _greedy(fixed, moving, command, outputs=("warp", "back"))
    warps = tuple(_field_image(field, fixed) for field in fields)
    return _total(fixed, moving, start, (warps[0], warps[1]), seconds), alone


def _greedy(
    fixed: Nifti1Image, moving: Nifti1Image, command: str, *, outputs: tuple[str, ...]
) -> tuple[float, list[Any]]:
    """Run greedy on images in memory, without its many lines of output."""
    tool = Greedy3D()
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    images = {"fixed": _to_sitk(fixed), "moving": _to_sitk(moving)}
    command = f"-d 3 -V 0 -threads {threads} -float -i fixed moving {command}"
    with _silence():
        seconds, _ = timed(tool.execute, command, **images, **dict.fromkeys(outputs))
    return seconds, [tool[name] for name in outputs]


@contextmanager
def _silence() -> Iterator[None]:
    """Send what a library prints past Python nowhere."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _total(
    fixed: Nifti1Image,
    moving: Nifti1Image,
    start: Array,
    warps: tuple[Nifti1Image, Nifti1Image],
    seconds: float,
) -> Ways:
    """Join matrix and warps: a fixed point is warped, then moved; a moving point the reverse."""
    back = np.linalg.inv(start)
    forward = transforms.compose(warps[0], start, grid_img=fixed)
    return Ways(forward, transforms.compose(back, warps[1], grid_img=moving), seconds)


def _in_memory(path: str) -> Nifti1Image:
    """Read a field that lies in a folder about to go."""
    img = nib.nifti1.load(path)
    return Nifti1Image(np.asarray(img.dataobj, dtype=np.float32), img.affine, img.header)


def _to_sitk(img: Nifti1Image) -> Any:
    """Return an image as SimpleITK holds it: LPS, last axis first."""
    lps = _ants.FLIP @ img.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    out: Any = sitk.GetImageFromArray(np.ascontiguousarray(img.get_fdata(dtype=np.float32).T))
    out.SetSpacing(spacing.tolist())
    out.SetOrigin(lps[:3, 3].tolist())
    out.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    return out


def _field_image(field: Any, img: Nifti1Image) -> Nifti1Image:
    """Return a SimpleITK vector image as NIfTI."""
    data = np.asarray(sitk.GetArrayFromImage(field), dtype=np.float32)
    data = np.ascontiguousarray(data.transpose(2, 1, 0, 3))[:, :, :, None]
    out = Nifti1Image(data, img.affine)
    out.header.set_intent("vector")
    return out
