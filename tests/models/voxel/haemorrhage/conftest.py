"""A head small enough to synthesise in a test: nested ellipsoids in FreeSurfer's numbers."""

import numpy as np
import pytest


def _label_map(scale=1.0):
    """A head of about 150 x 180 x 150 mm: skin, bone, fluid, two halves, ventricles, nuclei."""
    n = [int(scale * each) for each in (170, 200, 170)]
    x, y, z = np.meshgrid(*((np.arange(k) - (k - 1) / 2) / scale for k in n), indexing="ij")

    def ball(a, b, c, dx=0.0, dy=0.0, dz=0.0):
        return ((x - dx) / a) ** 2 + ((y - dy) / b) ** 2 + ((z - dz) / c) ** 2 <= 1

    labels = np.zeros(n, dtype=np.int16)
    labels[ball(78, 94, 80)] = 511
    labels[ball(76, 92, 78)] = 507
    labels[ball(73, 89, 75)] = 515
    labels[ball(70, 86, 72)] = 516
    labels[ball(68, 84, 70)] = 515
    labels[ball(66, 82, 68)] = 24
    brain = ball(62, 78, 64) & (np.abs(x) > 1.5)
    labels[brain & (x < 0)], labels[brain & (x > 0)] = 3, 42
    white = ball(56, 72, 58) & (np.abs(x) > 1.5)
    labels[white & (x < 0)], labels[white & (x > 0)] = 2, 41
    for side, ventricle, putamen, pallidum in ((-1, 4, 12, 13), (1, 43, 51, 52)):
        labels[ball(7, 30, 9, 11 * side, 0, 8)] = ventricle
        labels[ball(8, 14, 10, 30 * side, 6, -4)] = putamen
        labels[ball(4, 8, 6, 22 * side, 4, -6)] = pallidum
    labels[ball(3, 12, 8, 0, -4, -8)] = 14
    labels[ball(10, 10, 18, 0, -14, -36)] = 16
    cerebellum = ball(40, 22, 16, 0, -46, -40)
    labels[cerebellum & (x < 0)], labels[cerebellum & (x >= 0)] = 8, 47
    labels[ball(3, 4, 6, 0, -26, -36)] = 15
    return labels


@pytest.fixture(scope="session")
def label_map():
    """The head above."""
    return _label_map()
