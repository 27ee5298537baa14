"""The pictures of an explanation show what it holds, the same bytes each time."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from brainnet.explain import Explanation, Sanity
from brainnet.report._canvas import MODALITY_COLORS, MUTED
from brainnet.report.figures_explain import attribution_brain, trust_plot

MODALITIES = ["functional", "morphological"]
STATISTICS = ["rank_correlation", "icc", "dice", "rank_correlation_chance", "dice_chance",
              "p_value"]  # fmt: skip


def pixels(png: bytes) -> np.ndarray:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def share_of(picture: np.ndarray, color: str, tolerance: int = 60) -> float:
    wanted = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)])
    return float((np.abs(picture - wanted).sum(axis=2) <= tolerance).mean())


@pytest.fixture
def explanation() -> Explanation:
    """Twenty regions on an ellipsoid; a few of them matter."""
    rng = np.random.default_rng(0)
    n = 20
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    map_ = rng.normal(0, 0.1, (2, 2, n))
    map_[:, 0, 3], map_[:, 1, 7] = 2.0, 1.5
    map_[:, 0, 9] = np.nan
    t = rng.normal(size=(2, 2, n))
    t[1, 0] = np.nan
    dims = ("method", "modality", "region")
    agreed = np.tile([0.7, 0.6, 0.5, 0.2, 0.3, 0.002], (2, 1, 2, 1))
    data = xr.Dataset(
        {
            "attribution": (dims, map_),
            "spread": (dims, 0 * map_),
            "group_t": (("group_measure", "modality", "region"), t),
            "agreement": (("method", "over", "modality", "statistic"), agreed),
        },
        {
            "method": ["integrated_gradients", "gnn_explainer"],
            "modality": MODALITIES,
            "region": [f"a rather long name of region {k}" for k in range(n)],
            "group_measure": ["mean_edge", "values"],
            "over": ["all"],
            "statistic": STATISTICS,
            "x": ("region", 45 * np.cos(angle)),
            "y": ("region", 60 * np.sin(angle) - 15),
            "z": ("region", np.full(n, 10.0)),
        },
        {"target": "AD/CN", "summary": "contrast", "n_runs": 5, "gap": 0.001},
    )
    return Explanation(data)


@pytest.fixture
def sanity() -> Sanity:
    rows = [("seed", "1", 0.8), ("labels", "1", 0.1), ("weights", "head", 0.4),
            ("weights", "body", 0.0)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["test", "step", "similarity"])
    return Sanity(table, True, "Passes: " + "as far as one can tell " * 20)


def test_every_modality_is_drawn_in_its_colour_and_the_bytes_repeat(explanation):
    one = attribution_brain(explanation, title="A model")
    assert one == attribution_brain(explanation, title="A model")
    picture = pixels(one)
    assert picture.shape[1] == 1560
    for modality in MODALITIES:
        assert share_of(picture, MODALITY_COLORS[modality]) > 1e-3


def test_a_larger_attribution_is_a_larger_disc(explanation):
    few = share_of(pixels(attribution_brain(explanation)), MODALITY_COLORS["functional"])
    data = explanation.dataset.copy(deep=True)
    data["attribution"][0, 0] = 2.0
    many = share_of(pixels(attribution_brain(Explanation(data))), MODALITY_COLORS["functional"])
    assert many > 1.5 * few


def test_a_modality_that_hardly_counts_is_grey(explanation):
    data = explanation.dataset.copy(deep=True)
    data["attribution"][0, 0] *= 1e-3
    data = data.drop_vars("group_t")
    faded = pixels(attribution_brain(Explanation(data)))
    shown = pixels(attribution_brain(Explanation(explanation.dataset.drop_vars("group_t"))))
    color = MODALITY_COLORS["functional"]
    assert share_of(faded, color) < 0.5 * share_of(shown, color)
    assert share_of(faded, MUTED) > share_of(shown, MUTED)


def test_masks_and_other_summaries_have_their_own_words(explanation):
    contrast = attribution_brain(explanation)
    assert attribution_brain(explanation, method="gnn_explainer") != contrast
    other = Explanation(explanation.dataset.assign_attrs(summary="magnitude", target="severity"))
    assert attribution_brain(other) != contrast


def test_without_centroids_there_is_no_picture(explanation):
    data = explanation.dataset.assign_coords(x=("region", np.full(20, np.nan)))
    with pytest.raises(ValueError, match="must have centroids"):
        attribution_brain(replace(explanation, dataset=data))
    with pytest.raises(ValueError, match="method must be one of"):
        attribution_brain(explanation, method="saliency")


def test_trust_with_and_without_sanity(explanation, sanity):
    alone, both = (pixels(trust_plot(explanation, each)) for each in (None, sanity))
    assert trust_plot(explanation, sanity) == trust_plot(explanation, sanity)
    assert both.shape[0] > alone.shape[0]  # the verdict has lines of its own
    right = slice(alone.shape[1] // 2, None)
    assert share_of(alone[:, right], "#3d7f3a") == 0
    assert share_of(both[:, right], "#3d7f3a") > 0
    with pytest.raises(ValueError, match="two runs or more"):
        trust_plot(Explanation(explanation.dataset.drop_vars("agreement")))
