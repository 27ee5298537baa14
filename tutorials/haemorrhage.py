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
# # Haemorrhage on head CT
#
# A network outlines haemorrhages by kind, and what a physician reads off them is measured: volume
# with an interval, ABC/2, side, midline shift, scores. Below it reads a scan whose truth is known.
#
# **The scan is simulated**, and so were all scans that the network learned from. It misses much:
# for research on methods, no medical device and no diagnosis. In a terminal all of this is
# `brainnet segment haemorrhage CT OUT`.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from brainnet import io
from brainnet.simulate.head_ct import simulate_ct

scan = simulate_ct(seed=3, voxel_size=2.0)
truth = np.asarray(scan.labels_img.dataobj)
ml = abs(np.linalg.det(scan.img.affine[:3, :3])) / 1000
names = {11: "intraparenchymal", 12: "intraventricular", 13: "subarachnoid", 14: "subdural",
         15: "epidural"}  # fmt: skip
planted = {name: float(np.sum(truth == number) * ml) for number, name in names.items()}
{name: round(volume, 1) for name, volume in planted.items() if volume}

# %% [markdown]
# ## Read it
#
# Every result lies on the scan's own grid. The findings are plain JSON.

# %%
from brainnet.models.voxel.haemorrhage.read import read_ct
from brainnet.models.voxel.segment import load_segmenter

reading = read_ct(scan.img, load_segmenter(task="haemorrhage"))
for sentence in reading.findings["triage"]:
    print(sentence)

# %%
found = np.asarray(reading.labels_img.dataobj)
blood, own = (np.isin(each, list(names)) for each in (truth, found))
level = int(blood.sum(axis=(0, 1)).argmax())
units = np.asarray(reading.img.dataobj)[::-1, :, level].T  # the patient's right on the left
figure, axes = plt.subplots(1, 2, figsize=(9, 5))
for axis, mask, title in zip(axes, (blood, own), ("planted", "outlined"), strict=True):
    axis.imshow(units, cmap="gray", vmin=0, vmax=80, origin="lower")
    if mask[..., level].any():
        axis.contour(mask[::-1, :, level].T, [0.5], colors="tab:red", linewidths=1)
    axis.set(title=title, xticks=[], yticks=[])
dice = 2 * np.sum(blood & own) / (blood.sum() + own.sum())
print(f"Dice {dice:.2f}")

# %% [markdown]
# ## Numbers
#
# A volume comes with an interval; what could not be assessed says so.

# %%
for name, each in reading.findings["volumes_ml"].items():
    print(f"{name:17} {each['value']:6.1f} ml [{each['low']:.1f} to {each['high']:.1f}]")
shift = reading.findings["midline_shift"]
print("midline shift", shift["mm"], "mm to the", shift["to"])

# %% [markdown]
# ## What is no head CT is refused
#
# MR in disguise, windows of grey values, other parts of the body: the message says why.

# %%
from nibabel.nifti1 import Nifti1Image

from brainnet.imaging.hounsfield import NotACT

mr = Nifti1Image(np.random.default_rng(0).gamma(2, 100, (60, 60, 60)), np.diag([3.0, 3, 3, 1]))
try:
    read_ct(mr, load_segmenter(task="haemorrhage"))
except NotACT as refusal:
    print(refusal)

# %% [markdown]
# ## Files
#
# The label map can be opened in any viewer; `brainnet segment haemorrhage` writes it with a page,
# a table and, of a DICOM series, a DICOM SEG. To train the network on with scans of your own, see
# `brainnet train haemorrhage --print-recipe`.

# %%
with tempfile.TemporaryDirectory() as folder:
    path = io.save_img(reading.labels_img, Path(folder) / "scan_dseg.nii.gz")
    print(path.name, io.load_img(path).shape)
