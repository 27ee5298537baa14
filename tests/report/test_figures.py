"""Figures are pictures that show what they are given, the same bytes each time."""

import io

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brainnet.report import figures
from brainnet.report._canvas import Box, Panel, place_panels, sample_plane, three_plane_rows
from brainnet.report.figures_group import _roc


def pixels(png: bytes) -> np.ndarray:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    image = Image.open(io.BytesIO(png))
    assert not image.info, "a PNG without metadata"
    return np.asarray(image.convert("RGB")).astype(int)


def share_of(picture: np.ndarray, color: str, tolerance: int = 12) -> float:
    wanted = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)])
    return float((np.abs(picture - wanted).max(axis=2) <= tolerance).mean())


def drawn_twice(make):
    first, second = make(), make()
    assert first == second
    return pixels(first)


def test_slices_are_cut_in_world_space_whatever_the_grid(brain):
    box = Box(np.full(3, -80.0), np.full(3, 80.0))
    panel = Panel(axis=2, position=10.0, left=0, bottom=0, scale=1)
    # A linear ramp along y is reproduced exactly by linear interpolation on an oblique grid.
    index = np.indices(brain.shape).reshape(3, -1)
    y = (brain.affine[:3, :3] @ index + brain.affine[:3, 3:])[1].reshape(brain.shape)
    plane = sample_plane(y, brain.affine, panel, box)
    rows = np.arange(-80, 80, 0.75)[: plane.shape[0]] + 0.375
    inside = np.isfinite(plane)
    assert inside.mean() > 0.7
    expected = np.broadcast_to(rows[:, None], plane.shape)
    np.testing.assert_allclose(plane[inside], expected[inside], atol=1e-3)


def test_rows_of_a_mosaic_are_equally_wide_and_do_not_overlap():
    box = Box(np.array([-70.0, -100.0, -60.0]), np.array([70.0, 75.0, 80.0]))
    rows, width, height = place_panels(three_plane_rows(box, 7), box)
    size = box.high - box.low
    for row in rows:
        axes = {0: 1, 1: 0, 2: 0}
        ends = [p.left + size[axes[p.axis]] * p.scale for p in row]
        assert ends[-1] == pytest.approx(width)
        assert all(end < after.left for end, after in zip(ends, row[1:], strict=False))
    assert rows[-1][0].bottom == 0
    assert rows[0][0].bottom < height


def test_mask_contour_is_drawn_and_an_empty_one_is_survived(brain, mask):
    shown = drawn_twice(lambda: figures.overlay_contours(brain, mask))
    assert share_of(shown, "#ffb000") > 2e-4
    empty = nib.Nifti1Image(np.zeros(brain.shape, dtype=np.uint8), brain.affine)
    assert share_of(pixels(figures.overlay_contours(brain, {"x": empty})),
                    "#ffb000") < share_of(shown, "#ffb000")  # fmt: skip


def test_contours_of_another_grid_coincide(brain, mask):
    fine = nib.Nifti1Image(np.kron(mask.get_fdata(), np.ones((2, 2, 2))).astype(np.float32),
                           mask.affine @ np.diag([0.5, 0.5, 0.5, 1]))  # fmt: skip
    fine.affine[:3, 3] = (mask.affine @ [-0.25, -0.25, -0.25, 1])[:3]
    one = pixels(figures.overlay_contours(brain, mask))
    other = pixels(figures.overlay_contours(brain, fine))
    assert abs(one.shape[0] - other.shape[0]) < 40
    assert share_of(other, "#ffb000") == pytest.approx(share_of(one, "#ffb000"), rel=0.5)


def test_registration_figures(brain, mask):
    drawn_twice(lambda: figures.registration_check(brain, brain, contour_img=mask))
    edges = drawn_twice(lambda: figures.registration_check(brain, brain))
    assert share_of(edges, "#ffb000") > 5e-4
    before, after = figures.registration_flicker(brain, brain)
    assert pixels(before).shape == pixels(after).shape
    shifted = nib.Nifti1Image(brain.get_fdata().astype(np.float32), brain.affine)
    shifted.affine[0, 3] += 12
    before, after = figures.registration_flicker(brain, shifted)
    assert pixels(before).shape == pixels(after).shape
    assert before != after


def test_atlas_colors_follow_labels(brain):
    labels = np.digitize(brain.get_fdata(), [1, 90, 100, 140]).astype(np.int32) * 7
    shown = drawn_twice(lambda: figures.atlas_overlay(brain, nib.Nifti1Image(labels, brain.affine)))
    colourful = (shown.max(axis=2) - shown.min(axis=2)) > 60
    assert colourful.mean() > 0.1
    with pytest.raises(ValueError, match="at least one label"):
        figures.atlas_overlay(brain, nib.Nifti1Image(labels * 0, brain.affine))


def test_uptake_is_coloured_and_missing_voxels_are_not(brain):
    data = brain.get_fdata().astype(np.float32) / 100
    whole = drawn_twice(lambda: figures.suvr_map(nib.Nifti1Image(data, brain.affine), brain))
    data = np.where(np.arange(brain.shape[0])[:, None, None] < 22, np.nan, data)
    half = pixels(figures.suvr_map(nib.Nifti1Image(data, brain.affine), brain))
    colourful = [(p.max(axis=2) - p.min(axis=2) > 60).mean() for p in (whole, half)]
    assert colourful[1] < 0.75 * colourful[0]


def test_what_is_not_3d_is_refused(brain):
    series = nib.Nifti1Image(np.zeros((4, 4, 4, 3), dtype=np.float32), np.eye(4))
    with pytest.raises(ValueError, match=r"background_img must be a 3-D image.*\(4, 4, 4, 3\)"):
        figures.overlay_contours(series, brain)
    empty = nib.Nifti1Image(np.full((4, 4, 4), np.nan, dtype=np.float32), np.eye(4))
    with pytest.raises(ValueError, match="no finite voxel"):
        figures.registration_check(empty, brain)


@pytest.fixture
def confounds() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    table = pd.DataFrame(rng.normal(size=(40, 6)) * 0.01, columns=columns)
    table["framewise_displacement"] = np.r_[np.nan, np.full(39, 0.1)]
    table["std_dvars"] = 1.0
    return table


def test_motion_plot_shades_bad_volumes_and_takes_short_runs(confounds):
    calm = drawn_twice(lambda: figures.motion_plot(confounds, 2.0))
    confounds.loc[10:14, "framewise_displacement"] = 0.9
    restless = pixels(figures.motion_plot(confounds, 2.0))
    pink = "#f7e9e8"
    assert share_of(restless, pink, 3) > share_of(calm, pink, 3) + 0.02
    pixels(figures.motion_plot(confounds.head(8), 1.259))
    pixels(figures.motion_plot(confounds[["dvars"]] if "dvars" in confounds else
                               confounds[["std_dvars"]], 2.0))  # fmt: skip
    with pytest.raises(ValueError, match="at least one of trans_"):
        figures.motion_plot(pd.DataFrame({"age": [1.0]}), 2.0)
    with pytest.raises(ValueError, match="t_r must be"):
        figures.motion_plot(confounds, 0.0)


def test_carpet_groups_voxels_by_tissue_across_grids(confounds):
    rng = np.random.default_rng(1)
    data = rng.normal(100, 1, size=(6, 6, 6, 40)).astype(np.float32)
    data[0] = 5.0  # constant voxels are left out
    dseg = np.repeat([1, 2, 3], 4)[:, None, None] * np.ones((1, 12, 12), dtype=int)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = 0.5
    fine = nib.Nifti1Image(dseg.astype(np.int16), np.eye(4))
    voxels, groups = figures.carpet_samples(nib.Nifti1Image(data, affine), fine)
    assert voxels.shape == (5 * 36, 40)
    assert {name: groups.count(name) for name in ("GM", "WM", "CSF")} == {
        "GM": 36, "WM": 72, "CSF": 72,
    }  # fmt: skip
    thin, _ = figures.carpet_samples(nib.Nifti1Image(data, affine), fine, max_voxels=60)
    assert thin.shape[0] <= 62
    drawn_twice(lambda: figures.carpet_plot(voxels, groups, confounds=confounds, t_r=2.0))
    pixels(figures.carpet_plot(voxels[:, :2], groups))
    with pytest.raises(ValueError, match="at least one of the labels"):
        figures.carpet_samples(nib.Nifti1Image(data, affine), fine, names={9: "X"})
    with pytest.raises(ValueError, match="180 rows"):
        figures.carpet_plot(voxels, groups[:3])


def test_missing_regions_are_hatched_and_named_matrices_stay_readable(network):
    shown = drawn_twice(lambda: figures.matrix_plot(network, groups=["L"] * 42 + ["R"] * 42))
    full = pixels(figures.matrix_plot(network.fillna(0.5), groups=["L"] * 42 + ["R"] * 42))
    assert share_of(shown, "#e3e6ea", 2) > share_of(full, "#e3e6ea", 2) + 0.015
    lines = [share_of(picture, "#a3acb5", 15) for picture in (shown, full)]
    assert lines[0] > lines[1] + 0.003, "hatched, not only grey"
    assert shown.shape[0] / 84 > 12, "room for a name in every row"


@pytest.mark.parametrize("size", [1, 2, 400])
def test_matrices_of_any_size(size):
    names = [str(k) for k in range(size)]
    signed = pd.DataFrame(np.random.default_rng(0).normal(size=(size, size)), names, names)
    shown = pixels(figures.matrix_plot(signed, groups=["a long name", "b"] * (size // 2) or None))
    assert 700 < shown.shape[0] < 2200
    assert 1000 < shown.shape[1] < 2200
    pixels(figures.matrix_plot(signed * np.nan))


def test_groups_are_brought_together_in_the_atlas_order(network):
    alternating = figures.matrix_plot(network, groups=["L", "R"] * 42)
    order = [*range(0, 84, 2), *range(1, 84, 2)]
    sorted_first = network.iloc[order, order]
    assert alternating == figures.matrix_plot(sorted_first, groups=["L"] * 42 + ["R"] * 42)


def test_matrices_that_are_not_networks_are_refused(network):
    with pytest.raises(ValueError, match="square"):
        figures.matrix_plot(network.iloc[:, :3])
    with pytest.raises(ValueError, match="rows and columns alike"):
        figures.matrix_plot(network.iloc[:, ::-1])
    with pytest.raises(ValueError, match="84 regions; got 2"):
        figures.matrix_plot(network, groups=["L", "R"])


def test_brain_network_draws_the_strongest_edges(network):
    rng = np.random.default_rng(2)
    coords = rng.uniform([-60, -90, -40], [60, 60, 70], size=(84, 3))
    coords[7] = np.nan
    groups = ["L"] * 42 + ["R"] * 42
    few = drawn_twice(lambda: figures.brain_network(network, coords, density=0.01, groups=groups))
    many = pixels(figures.brain_network(network, coords, density=0.2, groups=groups))
    assert (few != many).any()
    pixels(figures.brain_network(-network, coords))
    pixels(figures.brain_network(network * np.nan, coords))
    with pytest.raises(ValueError, match=r"coords must be \(84, 3\)"):
        figures.brain_network(network, coords[:5])
    with pytest.raises(ValueError, match="density"):
        figures.brain_network(network, coords, density=0.0)


def test_measures_are_drawn_by_modality():
    rows = [
        {"modality": kind, "measure": measure, "density": density, "region": "global", "value": 1.0}
        for kind in ("functional", "metabolic")
        for measure in ("global_efficiency_binary", "modularity", "n_modules", "degree", "density")
        for density in (0.1, 0.2)
    ]
    rows += [{"modality": "functional", "measure": "degree_auc", "density": np.nan,
              "region": "global", "value": np.nan}]  # fmt: skip
    table = pd.DataFrame(rows)
    shown = drawn_twice(lambda: figures.measures_plot(table))
    assert share_of(shown, "#6b4fa0") > 0
    one = pixels(figures.measures_plot(table, measures=["modularity", "unheard of"]))
    assert one.shape[0] < shown.shape[0] + 1
    pixels(figures.measures_plot(table[table["measure"] == "degree_auc"]))
    with pytest.raises(ValueError, match="'global'"):
        figures.measures_plot(table.assign(region="x"))


@pytest.fixture
def predictions() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = []
    for name in ("gcn", "linear"):
        for subject in range(60):
            p = rng.dirichlet([1, 1, 1])
            rows.append({"estimator": name, "truth": ["CN", "MCI", "AD"][subject % 3],
                         "predicted": ["CN", "MCI", "AD"][int(p.argmax())],
                         "p_CN": p[0], "p_MCI": p[1], "p_AD": p[2]})  # fmt: skip
    return pd.DataFrame(rows)


def test_group_figures(predictions, network):
    stages = ["CN", "MCI", "AD"]
    drawn_twice(lambda: figures.confusion_plot(predictions, stages=stages))
    drawn_twice(lambda: figures.roc_plot(predictions, stages=stages))
    table = pd.DataFrame(
        {"estimator": ["gcn", "linear"], "metric": "auc", "estimate": [0.7, 0.6],
         "low": [0.6, 0.4], "high": [0.8, 0.7]}
    )  # fmt: skip
    drawn_twice(lambda: figures.score_plot(table, metric="auc", chance=0.5))
    with pytest.raises(ValueError, match="'kappa'"):
        figures.score_plot(table, metric="kappa")
    with pytest.raises(ValueError, match="predictions must have rows"):
        figures.roc_plot(predictions, stages=["CN", "SMC"])
    matrices = {("functional", "CN"): network, ("functional", "AD"): -network,
                ("metabolic", "AD"): network}  # fmt: skip
    drawn_twice(lambda: figures.stage_matrices(matrices, counts={("functional", "CN"): 4}))


def test_area_under_the_curve_agrees_with_sklearn(predictions):
    from sklearn.metrics import roc_auc_score

    truth = (predictions["truth"] == "AD").to_numpy()
    score = predictions["p_AD"].round(1).to_numpy()  # with ties
    assert _roc(truth, score)[2] == pytest.approx(roc_auc_score(truth, score))


def test_figures_do_not_depend_on_the_users_settings(network):
    import matplotlib

    plain = figures.matrix_plot(network)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 30}):
        assert figures.matrix_plot(network) == plain
