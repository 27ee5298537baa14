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
# # Segmenting a brain
#
# One network finds the brain, its tissue and its structures in images of any contrast: it learned
# from images synthesised from label maps, and has never seen a scanner. Below it segments a brain
# whose truth is known, in two contrasts; then the image is spoilt, and the segmentation says
# itself that it must not be trusted.
#
# **The brain is simulated**: the MNI152 brain, deformed, with a bias field and noise, and without
# a skull. In a terminal all of this is `brainnet segment brain IMG OUT`.
#
# For research: not a medical device, and no diagnosis.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from brainnet import atlas, io
from brainnet.models.voxel.segment import load_segmenter, segment
from brainnet.report import figures
from brainnet.report.segmentation import sides_table
from brainnet.simulate.anatomy import simulate_anatomy
from brainnet.workflows.segment import Options, segment_brain

rng = np.random.default_rng(0)


def show(png: bytes) -> None:
    """Show a picture of the report."""
    from IPython.display import Image, display

    display(Image(png))


# %% [markdown]
# ## A brain whose truth is known

# %%
person = simulate_anatomy(atlas.load("DesikanKilliany"), resolution=2.0, seed=1)
t1w_img = person.t1w_img
t1w_img.shape, t1w_img.header.get_zooms()

# %% [markdown]
# ## Brain, tissue, structures
#
# `load_segmenter` takes the network of the package, or of a folder that `brainnet train` made;
# its model card says what it is for and what it was trained on.

# %%
segmenter = load_segmenter()
{key: segmenter.card.get(key) for key in ("task", "intended_use", "not_for", "licence")}

# %%
found = segment(t1w_img, segmenter)
found.quality

# %%
show(figures.overlay_contours(t1w_img, {"brain": found.mask_img}, title="Simulated T1w"))
show(figures.atlas_overlay(t1w_img, found.labels_img, title="Structures"))

# %% [markdown]
# Volumes are sums of probabilities. The last column is the overlap with the truth that the
# network's own probabilities promise.

# %%
sides_table(found.volumes)

# %% [markdown]
# Here the truth is known, so the overlap can be measured: Dice is 1 where found and planted
# agree in every voxel. The simulated anatomy has gyri in place of a cortex, a corpus callosum that
# belongs to no side, and no truth for the fluid around the brain; both of these are left out.

# %%
truth = np.asarray(person.structures_img.dataobj)
callosum = (truth >= 251) & (truth <= 255)
truth = np.select([truth // 1000 == 1, truth // 1000 == 2], [3, 42], truth)


def dice(one: np.ndarray, two: np.ndarray) -> float:
    """Return twice the overlap over the sum of the sizes."""
    return 2 * float((one & two).sum()) / float(one.sum() + two.sum())


def compare(labels_img: Nifti1Image) -> pd.Series:
    """Return the overlap of each structure that the truth has."""
    labels = np.where(callosum, 0, np.asarray(labels_img.dataobj))
    names = found.volumes.set_index("index")["name"]
    outer = names.index[names == "extracerebral CSF"]
    there = [index for index in names.index.drop(outer) if (truth == index).sum() > 50]
    return pd.Series({names[index]: dice(labels == index, truth == index) for index in there})


overlap = pd.DataFrame({"T1w": compare(found.labels_img)})
brain = truth > 0
print(f"brain mask: {dice(np.asarray(found.mask_img.dataobj) > 0, brain):.3f}")
overlap.round(2)

# %% [markdown]
# ## Another contrast
#
# The same brain as a T2w image shows it: fluid brightest, white matter darkest. Nothing has to be
# said of the contrast.

# %%
brightness = {"CSF": 1.0, "GM": 0.55, "WM": 0.38}
t2w = sum(bright * person.tissue_imgs[name].get_fdata() for name, bright in brightness.items())
t2w = np.abs(t2w + 0.02 * rng.standard_normal(t2w.shape)) * (t2w > 0)
t2w_img = Nifti1Image((1000 * t2w).astype(np.float32), t1w_img.affine)
found_t2w = segment(t2w_img, segmenter)
show(figures.atlas_overlay(t2w_img, found_t2w.labels_img, title="The same brain, T2w-like"))
overlap.assign(T2w=compare(found_t2w.labels_img)).describe().loc[["mean", "min"]].round(2)

# %% [markdown]
# ## When not to trust it
#
# Every result comes with a score and, where something speaks against it, with reasons. Here the
# lower half of the brain is missing; there, noise is all there is.

# %%
cut = t1w_img.get_fdata().copy()
cut[:, :, : cut.shape[2] // 2] = 0
noise = np.abs(rng.standard_normal(t1w_img.shape))
spoilt = {"cut": cut, "noise": noise}
verdicts = {"whole": found.quality}
for name, data in spoilt.items():
    img = Nifti1Image(data.astype(np.float32), t1w_img.affine)
    verdicts[name] = segment(img, segmenter).quality
pd.DataFrame(
    {name: [each.score, each.trusted, "; ".join(each.reasons)] for name, each in verdicts.items()},
    index=["score", "trusted", "reasons"],
).T

# %% [markdown]
# ## From files to files
#
# What `brainnet segment brain head.nii.gz OUT` does: images with their records, a table of
# volumes, and a page to look at. Given a BIDS dataset it takes every anatomical image, and what it
# writes is a derivatives dataset, whose masks and tissue maps the participant level takes with
# `--derivatives`.

# %%
folder = Path(tempfile.mkdtemp())
head = io.save_img(t1w_img, folder / "in" / "head.nii.gz")
results = segment_brain(head, folder / "out", options=Options(max_memory=4.0))
print(*sorted(path.name for path in (folder / "out").iterdir()), sep="\n")
io.load_table(folder / "out" / "group_segmentation.tsv").T

# %% [markdown]
# Beside each file stands its sidecar: image and network by their hashes, parameters, versions. The
# same command again finds that nothing has changed, and computes nothing.

# %%
known = io.load_json(folder / "out" / "head_seg-brainnet_dseg.json")
known["Quality"], known["Brainnet"]["Inputs"], known["Brainnet"]["Parameters"]
