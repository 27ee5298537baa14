"""A toy head: two structures with two sides each, a skull that no network is asked for."""

import numpy as np
import pytest
import torch

from brainnet.models.voxel.labels import LabelTable
from brainnet.models.voxel.synthesis import Scanner

WHITE, CORTEX, SKIN = (2, 41), (3, 42), 509


def _table():
    rows = [
        {"index": number, "name": f"{side} {name}", "structure": name, "side": side,
         "tissue": tissue, "sources": str(number)}
        for at, side in enumerate(("left", "right"))
        for (name, tissue, numbers) in (("white", "WM", WHITE), ("cortex", "GM", CORTEX))
        for number in [numbers[at]]
    ]  # fmt: skip
    return LabelTable.from_rows(rows)


def _head(size=64, radius=24.0, skin=4.0, seed=0):
    """A ball in a shell in a skin, off the middle and not quite round; RAS, 1 mm."""
    rng = np.random.default_rng(seed)
    grid = np.indices((size,) * 3) - (size - 1) / 2 - rng.uniform(-1, 1, 3)[:, None, None, None]
    distance = np.sqrt(((grid * rng.uniform(0.93, 1.07, 3)[:, None, None, None]) ** 2).sum(0))
    right = grid[0] > 0
    labels = np.zeros((size,) * 3, dtype=np.int16)
    labels[distance < radius + skin] = SKIN
    labels[distance < radius + 2] = 0
    labels[distance < radius] = np.where(right, CORTEX[1], CORTEX[0])[distance < radius]
    inner = distance < 0.62 * radius
    labels[inner] = np.where(right, WHITE[1], WHITE[0])[inner]
    return labels


@pytest.fixture(scope="session")
def toy_table() -> LabelTable:
    """White matter and cortex, left and right: 4 channels."""
    return _table()


@pytest.fixture(scope="session")
def toy_head():
    """The generator above."""
    return _head


@pytest.fixture(scope="session")
def still() -> Scanner:
    """A scanner that does nothing: no move, no warp, no bias, no noise."""
    return Scanner(
        rotation=0, scaling=0, shearing=0, shift=0, warp=0, bias=0, noise=0, spacing=0,
        p_known=1, p_stripped=0, p_lesion=0, p_cut=0,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors: threads would only wait for each other, and change the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
