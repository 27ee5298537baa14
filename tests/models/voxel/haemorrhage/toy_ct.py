"""A head CT of ellipsoids with planted blood, and a network that reads labels off its units."""

from itertools import pairwise

import numpy as np
import torch
from nibabel.nifti1 import Nifti1Image
from torch import nn

from brainnet.models.voxel.haemorrhage.scan import HU_KNOTS
from brainnet.models.voxel.labels import load_labels
from brainnet.models.voxel.segment import Segmenter

#: Hounsfield units of what the toy network tells apart, by structure
UNITS = {
    "background": -60.0,
    "brain": 32.0,
    "lateral ventricle": 2.0,
    "extracerebral CSF": 14.0,
    "intraparenchymal haemorrhage": 65.0,
    "subdural haemorrhage": 82.0,
}
_WIDE = 5.0


def head(bleeds=(), *, spacing=(2.0, 2.0, 2.0), noise=0.0, extent=(180, 210, 190)):
    """Return a head CT; ``bleeds`` are (structure, centre in mm from the middle, radius in mm)."""
    n = [round(each / step) for each, step in zip(extent, spacing, strict=True)]
    x, y, z = np.meshgrid(
        *((np.arange(k) - (k - 1) / 2) * s for k, s in zip(n, spacing, strict=True)), indexing="ij"
    )

    def ball(axes, at=(0, 0, 0)):
        return sum(((w - c) / a) ** 2 for w, c, a in zip((x, y, z), at, axes, strict=True)) <= 1

    units = np.full(n, -1000.0, dtype=np.float32)
    for axes, value in (((78, 92, 80), -60), ((71, 85, 73), 1100), ((66, 80, 68), 14),
                        ((62, 76, 64), 32)):  # fmt: skip
        units[ball(axes)] = value
    for side in (-1, 1):
        units[ball((7, 30, 10), (12 * side, 0, 5))] = 2
    for structure, at, radius in bleeds:
        units[ball((radius,) * 3, at)] = UNITS[structure]
    if noise:
        units += np.random.default_rng(0).normal(0, noise, n).astype(np.float32)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(k - 1) / 2 * s for k, s in zip(n, spacing, strict=True)]
    img = Nifti1Image(units, affine)
    img.set_sform(affine, 1)
    return img


class ToyNetwork(nn.Module):
    """Likely is the structure whose units are nearest; there is no blood beside bone."""

    def __init__(self):
        super().__init__()
        self.table = load_labels("haemorrhage")
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, image):
        seen, units = image.float(), torch.zeros_like(image, dtype=torch.float32)
        units += HU_KNOTS[0][0]
        for (low, dark), (high, bright) in pairwise(HU_KNOTS):
            units = units + (high - low) * ((seen - dark) / (bright - dark)).clamp(0, 1)
        bone = nn.functional.max_pool3d((units > 120).float(), 5, stride=1, padding=2)
        logits = torch.full((len(image), self.table.n_channels, *image.shape[2:]), -30.0)
        for name, value in UNITS.items():
            channel = 0 if name == "background" else 1 + self.table.structures.index(name)
            fits = -(((units - value) / _WIDE) ** 2)
            if "haemorrhage" in name:
                fits = fits - 60 * bone
            logits[:, channel] = fits[:, 0]
        outside = ((units > 120) | (units < -20))[:, 0]
        logits[:, 0] = torch.maximum(logits[:, 0], outside * 40 - 20.0)
        x = torch.linspace(-1, 1, image.shape[2])[:, None, None]
        logits[:, -1] = 200 * x.expand(image.shape[2:])
        return logits + 0 * self.nothing


def segmenter(**card):
    """Return the toy network as the package's own would be loaded."""
    judgement = {"lesion": [2.0, 1.0, 1.0], "least": 0.5, "least_ml": 0.1}
    known = {"voxel_size": 2.0, "task": "haemorrhage", "judgement": judgement}
    return Segmenter(ToyNetwork().eval(), load_labels("haemorrhage"), known | card)
