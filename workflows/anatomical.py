"""T1w to mask, tissue, MNI space, native atlas, regional volumes and morphological network.

The brain mask comes first (deepbet), so that the bias field (N4) is fitted to brain alone.
Three tissues are segmented, the brain is registered to MNI152NLin2009cAsym, and the atlas is
carried back into native space, where regional volumes are measured. Grey matter modulated by
the Jacobian, in MNI space, gives each region the distribution that morphological similarity
compares. Mask and tissue may be given instead (`precomputed`), or found by our own network
(`structures`).
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from brainnet import atlas as atlases
from brainnet import io
from brainnet.bids import Scan, derivative_path
from brainnet.imaging import intensity, mask, register, resample, tissue, transforms
from brainnet.signals import extract
from brainnet.workflows import networks, precomputed, spaces, structures
from brainnet.workflows.choices import MNI
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.networks import load_atlas
from brainnet.workflows.settings import Quality, Registration, Settings

Paths = Mapping[str, Path]
TISSUES = spaces.TISSUES
#: how tissue is segmented, for the methods paragraph
TISSUE_METHOD = "mixture"
#: grid on which grey matter is compared between regions, mm
MODULATED_RES: Literal[2] = 2
#: smoothing before regional distributions are compared (Wang et al. 2016 use 6 mm), mm
SMOOTHING_FWHM = 6.0


def run(scan: Scan, out_dir: Path, settings: Settings, steps: Steps) -> dict[str, Path]:
    """Process one T1w image; return the paths of what was made, by name.

    Parameters
    ----------
    scan : brainnet.bids.Scan
        The T1w image.
    out_dir : pathlib.Path
        The derivatives dataset.
    settings : Settings
        Atlas, skull stripping, quality and seed.
    steps : Steps
        Runs, records and remembers each step.
    """
    paths = _paths(scan, out_dir, settings)
    given = precomputed.find(scan, settings.derivatives, steps)
    _brain(scan, given, paths, settings, steps)
    _normalise(paths, settings, steps)
    spaces.carry_anatomy(scan, paths, out_dir, settings, steps)
    _regions(paths, settings, steps)
    return paths


def _paths(scan: Scan, out_dir: Path, settings: Settings) -> dict[str, Path]:
    """Name every output of this pipeline."""
    atlas = settings.atlas

    def name(suffix: str, extension: str = ".nii.gz", **entities: str) -> Path:
        return derivative_path(out_dir, scan, suffix=suffix, extension=extension, **entities)

    paths = {
        "t1w": name("T1w", desc="preproc"),
        "mask": name("mask", desc="brain"),
        "to_mni": name("xfm", **{"from": "T1w", "to": MNI, "mode": "image"}),
        "from_mni": name("xfm", **{"from": MNI, "to": "T1w", "mode": "image"}),
        "t1w_mni": name("T1w", space=MNI, desc="preproc"),
        "modulated": name("probseg", space=MNI, label="GM", desc="modulated"),
        "dseg": name("dseg", seg=atlas),
        "reference": name("mask", desc="petreference"),
        "volumes": name("morph", ".tsv", seg=atlas, stat="volume"),
        "samples": name("samples", ".tsv.gz", space=MNI, seg=atlas, desc="modulated"),
        "coverage": name("morph", ".tsv", seg=atlas, stat="coverage"),
    }
    if settings.segmentation == "network":
        paths["structures_dseg"] = name("dseg", seg=structures.SEG)
        paths["structures"] = name("morph", ".tsv", seg=structures.SEG)
    paths |= networks.network_paths("morphological", settings, name)
    return paths | {label: name("probseg", label=label) for label in TISSUES}


def _brain(
    scan: Scan, given: precomputed.Given, paths: Paths, settings: Settings, steps: Steps
) -> None:
    if given.mask is not None:
        precomputed.take_mask(scan, given.mask, paths["mask"], steps)
    if settings.segmentation == "network":
        structures.find(scan, given, paths, steps)
    elif given.mask is None:
        steps.run(
            "brain mask",
            find_brain,
            inputs={"t1w": scan.path},
            outputs={"mask": paths["mask"]},
            parameters={"skull_strip": settings.skull_strip},
        )
    steps.run(
        "bias field",
        correct_bias,
        inputs={"t1w": scan.path, "mask": paths["mask"]},
        outputs={"t1w": paths["t1w"]},
    )
    maps = {label: paths[label] for label in TISSUES}
    if given.tissue is not None:
        precomputed.take_tissue(scan, given.tissue, paths["mask"], maps, steps)
    elif settings.segmentation == "mixture":
        steps.run(
            "tissue",
            segment,
            inputs={"t1w": paths["t1w"], "mask": paths["mask"]},
            outputs=maps,
        )


def _normalise(paths: Paths, settings: Settings, steps: Steps) -> None:
    steps.run(
        "registration to MNI",
        normalise,
        inputs={"t1w": paths["t1w"], "mask": paths["mask"]},
        outputs={name: paths[name] for name in ("to_mni", "from_mni", "t1w_mni")},
        parameters={"quality": settings.quality, "engine": settings.registration},
    )
    steps.run(
        "modulated grey matter",
        modulate,
        inputs={"probability": paths["GM"], "to_mni": paths["to_mni"]},
        outputs={"modulated": paths["modulated"]},
    )


def _regions(paths: Paths, settings: Settings, steps: Steps) -> None:
    steps.run(
        "atlas to native space",
        carry_atlas,
        inputs={"from_mni": paths["from_mni"]} | settings.atlas_files(),
        outputs={"dseg": paths["dseg"]},
        parameters={"atlas": settings.atlas},
    )
    steps.run(
        "reference region to native space",
        carry_reference,
        inputs={"from_mni": paths["from_mni"]},
        outputs={"reference": paths["reference"]},
        parameters={"reference_region": settings.reference_region},
    )
    steps.run(
        "regional volumes",
        measure_volumes,
        inputs={name: paths[name] for name in ("GM", "mask", "dseg", "to_mni")}
        | settings.atlas_files(),
        outputs={"volumes": paths["volumes"]},
        parameters={"atlas": settings.atlas},
    )
    steps.run(
        "regional grey matter",
        sample_grey_matter,
        inputs={name: paths[name] for name in ("modulated", "mask", "to_mni")}
        | settings.atlas_files(),
        outputs={"samples": paths["samples"], "coverage": paths["coverage"]},
        parameters={"atlas": settings.atlas, "smoothing_fwhm": SMOOTHING_FWHM},
    )
    source = {"samples": paths["samples"]}
    networks.connect("morphological", source, paths, settings, steps)


def find_brain(inputs: Paths, outputs: Paths, *, skull_strip: str) -> dict[str, Any]:
    """Mask the brain, or take the image's own support where it is already stripped."""
    img = _load_t1w(inputs["t1w"])
    stripped = skull_strip == "skip" or (skull_strip == "auto" and mask.is_skull_stripped(img))
    if stripped:
        mask_img = _support(img, inputs["t1w"])
        warnings.warn(
            "The T1w image was taken as already skull-stripped, so no brain extraction was run. "
            "If it still has a skull, run with --skull-strip force.",
            io.DataWarning,
            stacklevel=2,
        )
    else:
        mask_img = mask.brain_mask(img)
    io.save_img(mask_img, outputs["mask"])
    volume = float(mask_img.get_fdata().sum() * np.abs(np.linalg.det(mask_img.affine[:3, :3])))
    method = "as given (already skull-stripped)" if stripped else "deepbet"
    return {"mask": {"Type": "Brain", "Method": method, "VolumeMillilitres": volume / 1000}}


def _load_t1w(path: Path) -> Nifti1Image:
    """Load the T1w image with 0 where it is not finite, as around a brain that SPM cut out."""
    img = io.load_img(path, ndim=3)
    data = np.asanyarray(img.dataobj)
    finite = np.isfinite(data)
    if finite.all():
        return img
    warnings.warn(
        f"{path.name}: {1 - finite.mean():.1%} of the voxels are not finite and were taken as "
        "background (0). If they lie within the brain, what is measured there is wrong: export "
        "the image again.",
        io.DataWarning,
        stacklevel=3,
    )
    return Nifti1Image(np.where(finite, data, 0).astype(np.float32), img.affine, img.header)


def _support(img: Nifti1Image, path: Path) -> Nifti1Image:
    """Mask what differs from the background, or say that the image is a whole head."""
    try:
        return mask.support_mask(img)
    except ValueError as error:
        raise io.DataError(
            path,
            "is not skull-stripped, though --skull-strip skip says so: there is no constant "
            "background around the brain",
            "Run with --skull-strip force",
        ) from error


def correct_bias(inputs: Paths, outputs: Paths) -> dict[str, Any]:
    """Divide the N4 bias field out of the image; say whether it shows more than the brain."""
    img = _load_t1w(inputs["t1w"])
    mask_img = io.load_img(inputs["mask"], ndim=3)
    corrected = intensity.correct_bias(img, mask_img)
    io.save_img(corrected, outputs["t1w"])
    outside = np.asanyarray(mask_img.dataobj) == 0
    return {"t1w": {"SkullStripped": not np.asanyarray(corrected.dataobj)[outside].any()}}


def segment(inputs: Paths, outputs: Paths) -> None:
    """Segment grey matter, white matter and cerebrospinal fluid."""
    maps = tissue.segment_tissue(io.load_img(inputs["t1w"]), io.load_img(inputs["mask"]))
    for label in TISSUES:
        io.save_img(maps[label], outputs[label])


def normalise(
    inputs: Paths, outputs: Paths, *, quality: Quality, engine: Registration
) -> dict[str, Any]:
    """Register the brain to the MNI brain; keep the whole mapping in both directions."""
    img = io.load_img(inputs["t1w"])
    brain_img = apply_mask(img, io.load_img(inputs["mask"]))
    template_img = atlases.template(res=2 if quality == "draft" else 1)
    field = register.register_deformable(template_img, brain_img, quality=quality, engine=engine)
    io.save_img(field.forward_img, outputs["to_mni"])
    io.save_img(field.inverse_img, outputs["from_mni"])
    io.save_img(transforms.apply_displacement(brain_img, field.forward_img), outputs["t1w_mni"])
    return {"t1w_mni": {"SkullStripped": True}}


def modulate(inputs: Paths, outputs: Paths) -> None:
    """Carry grey matter to MNI space and multiply by the Jacobian: millilitres are kept."""
    field_img = io.load_img(inputs["to_mni"], ndim=5)
    warped = transforms.apply_displacement(io.load_img(inputs["probability"]), field_img)
    data = warped.get_fdata() * transforms.jacobian(field_img).get_fdata()
    modulated = Nifti1Image(np.maximum(data, 0).astype(np.float32), warped.affine)
    coarse = resample.resample(modulated, atlases.template(res=MODULATED_RES), order=1)
    io.save_img(coarse, outputs["modulated"])


def carry_atlas(inputs: Paths, outputs: Paths, *, atlas: str) -> None:
    """Pull the atlas into native space by nearest neighbour."""
    _carry_labels(load_atlas(atlas, inputs).labels_img, inputs["from_mni"], outputs["dseg"])


def carry_reference(inputs: Paths, outputs: Paths, *, reference_region: str) -> None:
    """Pull the PET reference region into native space by nearest neighbour."""
    reference_img = atlases.reference_mask(reference_region)
    _carry_labels(reference_img, inputs["from_mni"], outputs["reference"])


def _carry_labels(labels_img: Nifti1Image, from_mni: Path, output: Path) -> None:
    field_img = io.load_img(from_mni, ndim=5)
    native = transforms.apply_displacement(labels_img, field_img, order=0)
    io.save_img(Nifti1Image(native.get_fdata().astype(np.int32), native.affine), output)


def measure_volumes(inputs: Paths, outputs: Paths, *, atlas: str) -> None:
    """Sum grey-matter probability over each region that the image shows half of or more."""
    regions = load_atlas(atlas, inputs)
    labels_img = io.load_img(inputs["dseg"], ndim=3)
    grey_img = io.load_img(inputs["GM"], ndim=3)
    volumes = extract.region_volumes(grey_img, labels_img, regions.indices)
    coverage = region_coverage(regions, io.load_img(inputs["to_mni"], ndim=5), grey_img)
    volumes[coverage < extract.MIN_COVERAGE] = np.nan
    _, in_brain = extract.region_values(
        grey_img, labels_img, regions.indices, mask_img=io.load_img(inputs["mask"], ndim=3)
    )
    _warn_incomplete(regions, coverage, in_brain)
    table = pd.DataFrame({"name": regions.names, "value": volumes, "coverage": coverage})
    io.save_table(table, outputs["volumes"])


def region_coverage(
    regions: atlases.Atlas, to_mni_img: Nifti1Image, t1w_img: Nifti1Image
) -> NDArray[np.float64]:
    """Return the share of each region that lies inside the T1w image's field of view.

    Parameters
    ----------
    regions : brainnet.atlas.Atlas
        Its labels, on their own grid in MNI space, are what a whole region is.
    to_mni_img : 5-D image
        The displacement field on the MNI grid that pulls the T1w image there.
    t1w_img : 3-D image
        Any image on the grid of the T1w image; its values are not read.

    Returns
    -------
    (n_regions,) array
        In 0..1. Counted in MNI space, where the T1w image's grid does not cut the atlas.
    """
    seen_img = _seen(to_mni_img, t1w_img, regions.labels_img)
    _, coverage = extract.region_values(
        seen_img, regions.labels_img, regions.indices, mask_img=seen_img
    )
    return coverage


def _seen(to_mni_img: Nifti1Image, t1w_img: Nifti1Image, grid_img: Nifti1Image) -> Nifti1Image:
    """Mark the voxels of a grid in MNI space that the T1w image's field of view holds."""
    everywhere = Nifti1Image(np.ones(t1w_img.shape, np.uint8), t1w_img.affine)
    seen_img = transforms.apply_displacement(everywhere, to_mni_img, order=0)
    return resample.resample_labels(seen_img, grid_img)


def _warn_incomplete(
    regions: atlases.Atlas, coverage: NDArray[np.float64], in_brain: NDArray[np.float64]
) -> None:
    """Name the regions that the field of view or the brain mask cuts by more than half."""
    cut = coverage < extract.MIN_COVERAGE
    outside = ~cut & (in_brain < extract.MIN_COVERAGE)
    for which, text in (
        (cut, "lie outside the T1w image's field of view by more than half and are NaN"),
        (outside, "lie outside the brain mask by more than half, so that their volumes are too "
         "small; look at the mask"),
    ):  # fmt: skip
        names = [name for name, is_one in zip(regions.names, which, strict=True) if is_one]
        if names:
            warnings.warn(
                f"{len(names)} of {regions.n_regions} regions {text}: {', '.join(names)}.",
                io.DataWarning,
                stacklevel=3,
            )


def sample_grey_matter(inputs: Paths, outputs: Paths, *, atlas: str, smoothing_fwhm: float) -> None:
    """Take each region's distribution of modulated grey matter, which is compared next."""
    from nilearn.image import smooth_img

    regions = load_atlas(atlas, inputs)
    modulated_img = smooth_img(io.load_img(inputs["modulated"], ndim=3), smoothing_fwhm)
    labels_img = resample.resample_labels(regions.labels_img, modulated_img)
    seen_img = _seen(
        io.load_img(inputs["to_mni"], ndim=5), io.load_img(inputs["mask"], ndim=3), modulated_img
    )
    networks.save_samples(modulated_img, labels_img, regions, outputs, mask_img=seen_img)


def apply_mask(img: Nifti1Image, mask_img: Nifti1Image) -> Nifti1Image:
    """Return the image with zeros outside the mask."""
    inside = np.asanyarray(mask_img.dataobj) > 0
    return Nifti1Image(np.where(inside, img.get_fdata(), 0).astype(np.float32), img.affine)
