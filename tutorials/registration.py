# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Registration
#
# From two heads to a matrix, to a deformation, to a map of where volume changed; then lesions,
# files for ANTs, and a BOLD run that reaches the template in one interpolation.
#
# **The person here is simulated**: the MNI152 brain that nilearn carries, bent by a deformation
# that is known, with a bias field and noise. So every error below is in millimetres against the
# truth, which no real pair of images has.
#
# Two words: the *fixed* image gives the grid, the *moving* image is carried onto it. The first
# call of each function compiles it (seconds, once for a machine).

# %%
import tempfile
import warnings
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
from scipy import ndimage
from scipy.spatial.transform import Rotation

from brainnet import io
from brainnet.imaging import motion, register, resample, transforms
from brainnet.workflows.transforms import load_affine, save_affine

rng = np.random.default_rng(0)


def smooth_noise(shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Return smooth random numbers, at most 1 in size; sigma in voxels."""
    drawn = ndimage.gaussian_filter(rng.standard_normal(shape), sigma)
    return drawn / np.abs(drawn).max()


def rigid(turn: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    """Return a matrix that turns (degrees about x, y, z) and shifts (mm)."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def imaged(clean_img: Nifti1Image) -> Nifti1Image:
    """Return a brain as a scanner shows it: 25 % of bias field, 3 % of noise, 0 around it."""
    clean = clean_img.get_fdata()
    seen = clean * np.exp(0.25 * smooth_noise(clean.shape, 15))
    seen = np.abs(seen + 0.03 * rng.standard_normal(clean.shape)) * (clean > 0.02)
    return Nifti1Image(seen.astype(np.float32), clean_img.affine)


mask_img = load_mni152_brain_mask(resolution=2)
template_img = load_mni152_template(resolution=2)
affine, shape = template_img.affine, template_img.shape
brain = mask_img.get_fdata() > 0
template = np.clip((template_img.get_fdata() - 0.25) / 0.65, 0.05, None) * brain
template_img = Nifti1Image(template.astype(np.float32), affine)

# %% [markdown]
# ## A person whose truth is known
#
# A transform here is a *pull*: it takes a point of the image that one resamples to, and says where
# in the other image to read. It is a 4 x 4 matrix (RAS, mm), or a displacement image (ITK's vector
# image, LPS, mm) where a matrix is not enough. `compose` joins any chain of both to one field.
#
# The planted way from the person to the template: a matrix (4 % larger, turned by 6 degrees),
# random bends of up to 10 mm, and a middle that is swollen to more than twice its volume, as wide
# ventricles are.

# %%
points = apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
bends = 10 * np.stack([smooth_noise(shape, 8) for _ in range(3)], axis=-1)
from_middle = points - (0, -15, 14)
near = np.exp(-(from_middle**2).sum(axis=-1, keepdims=True) / (2 * 20**2))
bends -= 0.28 * near * from_middle
bends *= ndimage.gaussian_filter(1.0 * ndimage.binary_dilation(brain, iterations=5), 3)[..., None]
bends_img = Nifti1Image((bends * (-1, -1, 1)).astype(np.float32)[:, :, :, None], affine)

planted_img = transforms.compose(
    rigid((2, -3, 5), (3, -4, 2)) @ np.diag([0.96, 0.96, 0.96, 1]), bends_img, grid_img=template_img
)
clean_img = transforms.apply_displacement(template_img, planted_img)
person_img = imaged(clean_img)
truth_img = transforms.invert(planted_img, template_img)  # from the template to the person

# %% [markdown]
# One kind of picture for all that follows: a slice of an image (left is left), and over it in
# orange the outline of the white matter that it should fit. Follow the orange line: where it runs
# along the edge between dark and bright, the two agree.

# %%
planes = ("sagittal", "coronal", "axial")
low, high = (f(points[brain], axis=0) + d for f, d in ((np.min, -18), (np.max, 18)))


def draw(ax, img, outline_img, *, plane="axial", at=14.0, title="", **options):
    """Show one slice (mm) of an image with the white matter of another as outline."""
    axis = planes.index(plane)
    pick = round(float((at - affine[axis, 3]) / affine[axis, axis]))
    x, y = (i for i in range(3) if i != axis)
    across, up = (np.arange(shape[i]) * affine[i, i] + affine[i, 3] for i in (x, y))
    options = {"cmap": "gray"} | options
    drawn = ax.pcolormesh(across, up, img.get_fdata().take(pick, axis).T, **options)
    outline = ndimage.gaussian_filter(outline_img.get_fdata(), 0.6).take(pick, axis).T
    ax.contour(across, up, outline, levels=[0.78], colors="#ff8c1a", linewidths=1.1)
    ax.set(title=title, aspect="equal", xlim=(low[x], high[x]), ylim=(low[y], high[y]))
    ax.axis("off")
    return drawn


def on_template(matrix: np.ndarray, img: Nifti1Image) -> Nifti1Image:
    """Resample an image on the template's grid through a matrix."""
    return resample.resample(img, template_img, matrix, order=1)


# %% [markdown]
# ## Another contrast, another pose: a matrix
#
# The same person once more, with dark where it was bright (as in a T2-weighted image), the head
# turned by 25 degrees and shifted by 12 mm. Nothing of intensities is comparable, and the headers
# say nothing of the turn.

# %%
turned = rigid((0, 0, 25), (12, -6, 4))
clean = clean_img.get_fdata()
inverted_img = Nifti1Image(((clean > 0.02) * (1.3 - clean)).astype(np.float32), affine)
second_img = imaged(resample.resample(inverted_img, person_img, np.linalg.inv(turned), order=1))


def error_mm(found: np.ndarray, true: np.ndarray) -> float:
    """Return the mean distance between two matrices over the brain."""
    at = points[brain]
    return np.linalg.norm(apply_affine(found, at) - apply_affine(true, at), axis=-1).mean()


began = perf_counter()
found = register.register_affine(person_img, second_img, kind="rigid")
print(f"{perf_counter() - began:.1f} s; error {error_mm(np.eye(4), turned):.1f} mm before,",
      f"{error_mm(found.matrix, turned):.2f} mm after")  # fmt: skip

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 4.7), layout="constrained")
draw(axes[0], person_img, person_img, title="fixed: the person")
draw(axes[1], second_img, person_img, title="moving, before: does not fit")
draw(axes[2], on_template(found.matrix, second_img), person_img, title="moving, after: fits")
plt.show()

# %% [markdown]
# ## What an alignment tells
#
# Besides its `.matrix` an `Alignment` holds what was measured on it, and `.flags`: sentences about
# what a person must look at, which are also given as `RegistrationWarning`. Here there are none.


# %%
def tell(found: register.Alignment) -> None:
    print(f"similarity   {found.similarity:.2f}  nats; only to compare runs on the same pair")
    print(f"overlap      {found.overlap:.2f}  of the fixed points lie inside the moving image")
    print(f"volume_ratio {found.volume_ratio:.2f}  moving head over fixed head; 1 if rigid")
    print(f"mirror_gain  {found.mirror_gain:.2f}  above 1 the mirrored head would fit better")
    print(f"start        {found.start}")
    print("flags       ", *found.flags or ["none"])


tell(found)

# %% [markdown]
# A head whose left and right were exchanged (a header lost on the way) registers well enough to
# pass a glance. It is told, never turned over in silence.

# %%
mirrored_img = Nifti1Image(person_img.get_fdata()[::-1].astype(np.float32), affine)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", register.RegistrationWarning)  # printed below
    mirrored = register.register_affine(person_img, mirrored_img, kind="rigid")
tell(mirrored)

# %% [markdown]
# Two images of one person tell mirrored from straight. Another person's tell it less surely, and a
# template that is symmetric, as this one, not at all.
#
# ## One brain onto another: a deformation
#
# Between people a matrix is not enough. `register_deformable` takes brains (0 around them), finds
# the affine part itself, and gives a field for either way: `forward_img` on the fixed grid,
# `inverse_img` on the moving grid. `draft` ends at 2 mm; leave it out for results.

# %%
began = perf_counter()
deformation = register.register_deformable(template_img, person_img, quality="draft")
print(f"{perf_counter() - began:.1f} s; least Jacobian {deformation.least_jacobian:.2f}: no fold")
carried_img = transforms.apply_displacement(person_img, deformation.forward_img)


def apart_mm(first_img: Nifti1Image, second_img: Nifti1Image) -> np.ndarray:
    """Return the distance between two fields at every voxel."""
    return np.linalg.norm(first_img.get_fdata() - second_img.get_fdata(), axis=-1)[..., 0]


only_affine = transforms.compose(deformation.alignment.matrix, grid_img=template_img)
nothing = transforms.compose(np.eye(4), grid_img=template_img)
errors = [apart_mm(each, truth_img) for each in (nothing, only_affine, deformation.forward_img)]
for name, error in zip(("before", "affine only", "deformed"), errors, strict=True):
    print(f"{name:12s} mean error {error[brain].mean():.2f} mm, "
          f"95 % of the brain within {np.percentile(error[brain], 95):.1f} mm")  # fmt: skip

# %%
shown = (person_img, on_template(deformation.alignment.matrix, person_img), carried_img)
names = ("before", "affine only", "deformed")
figure, axes = plt.subplots(2, 3, figsize=(11, 8.6), layout="constrained")
for column, (img, name, error) in enumerate(zip(shown, names, errors, strict=True)):
    draw(axes[0, column], img, template_img, title=f"{name}: {error[brain].mean():.1f} mm off")
    draw(axes[1, column], img, template_img, plane="coronal", at=-18)
figure.suptitle("the person (grey) under the template's white matter (orange)")
plt.show()

# %% [markdown]
# There and back is where one began: forward after inverse, over the brain.

# %%
round_trip = transforms.compose(
    deformation.forward_img, deformation.inverse_img, grid_img=template_img
)
print(f"mean distance from where it began {apart_mm(round_trip, nothing)[brain].mean():.3f} mm")

# %% [markdown]
# ## Where volume changed
#
# The determinant of the field's Jacobian is the volume of the person's tissue that fills a unit of
# the template's: 1.5 says that the person has half as much again there, 0.7 that they have 30 %
# less, 0 or below that the field folds and is wrong. Its logarithm treats twice and half alike. It
# holds the affine part, hence the size of the whole head: divide by `alignment.volume_ratio` to
# leave that out, as here. Red is larger in the person: the swollen middle is found where it was
# planted. The ripples around it are noise (nothing in flat white matter says how far it was
# stretched), which is why such maps are smoothed before people are compared.

# %%
ratio = deformation.alignment.volume_ratio
maps = []
for field_img in (truth_img, deformation.forward_img):
    change = np.log2(transforms.jacobian(field_img).get_fdata() / ratio)
    maps.append(Nifti1Image(np.where(brain, change, np.nan), affine))
figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
for ax, img, title in zip(axes, maps, ("planted", "found"), strict=True):
    drawn = draw(ax, img, template_img, title=title, cmap="RdBu_r", vmin=-1, vmax=1)
bar = figure.colorbar(drawn, ax=axes, ticks=[-1, 0, 1], shrink=0.8)
bar.ax.set_yticklabels(["half the volume", "as in the template", "twice the volume"])
plt.show()
planted, measured = (img.get_fdata()[brain] for img in maps)
print(f"correlation of the two maps {np.corrcoef(planted, measured)[0, 1]:.2f}")

# %% [markdown]
# A tissue map that is carried and multiplied by the determinant keeps its volume in ml
# ('modulated'); carried alone it keeps its concentration.
#
# ## A lesion
#
# What only one image shows has no counterpart, and the field tears at it: here a dark lesion is
# squeezed and torn. `moving_mask_img` (or `fixed_mask_img`) leaves voxels out: none there pulls,
# and the field comes from their neighbours. Make it *everything but the lesion*, a little widened.
# A brain mask with a hole would take the brain's own outline away too.

# %%
lesion = np.linalg.norm(points - (34, -12, 22), axis=-1) < 13  # mm
hurt = person_img.get_fdata() * ~lesion + 0.12 * lesion * (person_img.get_fdata() > 0)
hurt_img = Nifti1Image(hurt.astype(np.float32), affine)
left_out = ndimage.binary_dilation(lesion)
healthy_img = Nifti1Image((~left_out).astype(np.uint8), affine)

without = register.register_deformable(template_img, hurt_img, quality="draft")
masked = register.register_deformable(
    template_img, hurt_img, quality="draft", moving_mask_img=healthy_img
)
lesion_img = Nifti1Image(lesion.astype(np.uint8), affine)
there = transforms.apply_displacement(lesion_img, truth_img, order=0).get_fdata() > 0
near = ndimage.binary_dilation(there, iterations=4) & brain
for name, each in (("no mask", without), ("masked", masked)):
    error = apart_mm(each.forward_img, truth_img)
    print(f"{name:8s} in the lesion {error[there].mean():.1f} mm off, "
          f"within 8 mm of it {error[near & ~there].mean():.1f}, "
          f"elsewhere {error[brain & ~near].mean():.1f}")  # fmt: skip

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 4.7), layout="constrained")
draw(axes[0], hurt_img, person_img, at=22, title="the person, with a lesion")
for ax, each, title in zip(axes[1:], (without, masked), ("no mask", "lesion masked"), strict=True):
    img = transforms.apply_displacement(hurt_img, each.forward_img)
    off = apart_mm(each.forward_img, truth_img)[there].mean()
    draw(ax, img, template_img, at=22, title=f"{title}: {off:.0f} mm off in the lesion")
plt.show()

# %% [markdown]
# ## For ANTs, and back
#
# Matrices go out as `.mat` (or `.txt`), fields as `.nii.gz`. ANTs reads both as they are, and what
# ANTs wrote is read the same way:
#
# ```
# antsApplyTransforms -d 3 -i second.nii.gz -r person.nii.gz -t rigid.mat -o out.nii.gz
# antsApplyTransforms -d 3 -i person.nii.gz -r template.nii.gz -t to_template.nii.gz -o out.nii.gz
# ```
#
# Below ANTs carries the person with the field that was just written. (At the very edge of the grid
# it reads half a voxel further out.)

# %%
folder = Path(tempfile.mkdtemp())
save_affine(found.matrix, folder / "rigid.mat")
io.save_img(deformation.forward_img, folder / "to_template.nii.gz")

again = transforms.apply_displacement(person_img, io.load_img(folder / "to_template.nii.gz"))
assert np.array_equal(again.get_fdata(), carried_img.get_fdata())
assert np.allclose(load_affine(folder / "rigid.mat"), found.matrix)

import ants

io.save_img(template_img, folder / "template.nii.gz")
io.save_img(person_img, folder / "person.nii.gz")
fixed, moving = (ants.image_read(str(folder / f"{n}.nii.gz")) for n in ("template", "person"))
theirs = ants.apply_transforms(fixed, moving, [str(folder / "to_template.nii.gz")]).numpy()
differ = np.abs(theirs - carried_img.get_fdata())[brain]
print(f"99.99 % of the brain's voxels differ by less than {np.percentile(differ, 99.99):.0e}")

# %% [markdown]
# ## One interpolation
#
# A BOLD run of the person: coarse voxels, another contrast, another pose, and a head that moves.
# Three transforms lie between a voxel of the template and a volume of the run: to the T1w image
# (the field), to the run's reference (a matrix), to the volume (a matrix each). Each interpolation
# blurs, so the three are joined and every volume is read once.

# %%
n_volumes = 8
bold_grid = resample.target_grid(person_img, 3.5, crop_to_mask=person_img)
pose = rigid((4, 2, -6), (5, 3, -4))  # from T1w to the run
poses = [
    rigid(0.6 * rng.standard_normal(3), rng.standard_normal(3)) @ pose for _ in range(n_volumes)
]
volumes = [
    imaged(resample.resample(inverted_img, bold_grid, np.linalg.inv(each), order=1))
    for each in poses
]
bold = np.stack([img.get_fdata() for img in volumes], axis=-1).astype(np.float32)
bold_img = Nifti1Image(bold, bold_grid.affine)

moved = motion.estimate_motion(bold_img)
to_run = register.register_affine(person_img, moved.reference_img, kind="rigid")
off = [error_mm(m @ to_run.matrix, each) for m, each in zip(moved.matrices, poses, strict=True)]
print(f"motion and coregistration together: {np.mean(off):.2f} mm off, at worst {np.max(off):.2f}")

once = resample.resample_series(
    bold_img,
    template_img,
    moved.matrices @ to_run.matrix,
    displacement_img=deformation.forward_img,
)
print(once.shape)

# %% [markdown]
# `compose` gives the same chain as a file, for one volume: template to T1w, T1w to reference,
# reference to volume, in the order in which a point travels.

# %%
chain = (deformation.forward_img, to_run.matrix, moved.matrices[0])
to_first_img = transforms.compose(*chain, grid_img=template_img)
first_img = transforms.apply_displacement(volumes[0], to_first_img, order=3)
io.save_img(to_first_img, folder / "to_first_volume.nii.gz")

# %% [markdown]
# Beside it, what stepping from grid to grid would give: less of the true detail is left.

# %%
steps = resample.resample_series(bold_img, bold_grid, moved.matrices)
steps = resample.resample_series(steps, person_img, to_run.matrix)
steps = resample.resample_series(steps, template_img, displacement_img=deformation.forward_img)
true = transforms.apply_displacement(inverted_img, truth_img).get_fdata()[brain]

figure, axes = plt.subplots(1, 3, figsize=(11, 5.2), layout="constrained")
draw(axes[0], on_template(np.eye(4), volumes[0]), template_img, title="a volume of the run, before")
for ax, series, name in zip(axes[1:], (once, steps), ("one", "three"), strict=True):
    mean = series.get_fdata().mean(axis=-1)
    r = np.corrcoef(mean[brain], true)[0, 1]
    title = f"mean after {name} interpolation{'s' * (name != 'one')}\nr = {r:.3f} with the truth"
    draw(ax, Nifti1Image(mean, affine), template_img, title=title)
plt.show()

# %% [markdown]
# ## Another engine, another device
#
# `engine="ants"` runs ANTs (for `register_deformable`: SyN) behind the same calls, and returns the
# same objects: to check a result against an independent tool, or to stay with what a study began
# with. `brainnet BIDS OUT participant --registration ants` does so for a dataset. Here on voxels
# of 4 mm, to be short.

# %%
coarse = [resample.resample(i, resample.target_grid(i, 4.0)) for i in (person_img, second_img)]
for engine in ("fast", "ants"):
    began = perf_counter()
    each = register.register_affine(*coarse, kind="rigid", engine=engine)
    seconds = perf_counter() - began
    print(f"{engine}: {seconds:.1f} s, error {error_mm(each.matrix, turned):.2f} mm")

# %% [markdown]
# `device="cuda"` runs the fast engine on a graphics card, if torch sees one.

# %%
import torch

if torch.cuda.is_available():
    on_card = register.register_deformable(template_img, person_img, quality="draft", device="cuda")
    apart = apart_mm(on_card.forward_img, deformation.forward_img)[brain].mean()
    print(f"card and processor agree to {apart:.3f} mm")
else:
    print("torch sees no card here: device='cpu'")
