import nibabel
import numpy as np
import pytest
import scipy.integrate
import scipy.spatial.distance
import scipy.stats

from brainnet.connectome.similarity import js_similarity, kl_similarity

BOTH = pytest.mark.parametrize("measure", [js_similarity, kl_similarity])


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    return [
        rng.normal(0.6, 0.10, 800),
        rng.normal(0.7, 0.15, 2000),
        rng.gamma(4.0, 0.1, 5000),
        np.concatenate([rng.normal(0.2, 0.05, 300), rng.normal(0.9, 0.05, 300)]),
        rng.uniform(0, 1, 1000),
    ]


def gaussian_sample(mean, sd, n=20_000):
    """Quantiles of a Gaussian, and the standard deviation of their kernel density."""
    values = scipy.stats.norm.ppf((np.arange(n) + 0.5) / n, mean, sd)
    return values, np.sqrt(values.std() ** 2 + (values.std(ddof=1) * n**-0.2) ** 2)


def reference_shares(samples, n_points):
    """The module's definition with scipy's exact kernel densities."""
    kernels = [scipy.stats.gaussian_kde(region, bw_method="scott") for region in samples]
    widest = max(np.sqrt(kernel.covariance[0, 0]) for kernel in kernels)
    low = min(region.min() for region in samples) - 3 * widest
    high = max(region.max() for region in samples) + 3 * widest
    grid = np.linspace(low, high, n_points)
    densities = np.array([kernel(grid) for kernel in kernels])
    return densities / densities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("n_points", [128, 256, 1024])
def test_js_agrees_with_scipy(samples, n_points):
    shares = reference_shares(samples, n_points)
    result = js_similarity(samples, n_points=n_points)
    for i, p in enumerate(shares):
        for j, q in enumerate(shares):
            distance = scipy.spatial.distance.jensenshannon(p, q, base=2)
            expected = 0 if i == j else 1 - distance
            # linear binning at a quarter of the grid step is the only approximation
            assert result[i, j] == pytest.approx(expected, abs=1e-3)


def test_kl_agrees_with_scipy(samples):
    shares = np.maximum(reference_shares(samples, 512), 1e-12)
    shares /= shares.sum(axis=1, keepdims=True)
    result = kl_similarity(samples, n_points=512)
    for i, p in enumerate(shares):
        for j, q in enumerate(shares):
            both = scipy.stats.entropy(p, q) + scipy.stats.entropy(q, p)
            assert result[i, j] == pytest.approx(0 if i == j else np.exp(-both), abs=2e-3)


# Beyond the outermost sample a kernel density falls faster than its Gaussian, and the divergence
# weighs tails heavily: the closed form holds where the wider one has no mass there.
@pytest.mark.parametrize("mean, sd", [(0.0, 1.0), (0.5, 1.0), (-0.3, 1.1), (0.2, 0.9)])
def test_kl_of_two_gaussians_has_its_closed_form(mean, sd):
    first, s = gaussian_sample(0.0, 1.0)
    second, t = gaussian_sample(mean, sd)
    expected = ((s**2 + mean**2) / t**2 + (t**2 + mean**2) / s**2) / 2 - 1
    result = kl_similarity([first, second])[0, 1]
    assert -np.log(result) == pytest.approx(expected, rel=0.01, abs=1e-6)


@pytest.mark.parametrize("mean, sd", [(0.5, 1.0), (1.0, 1.5), (3.0, 0.5)])
def test_js_of_two_gaussians_is_the_integral(mean, sd):
    first, s = gaussian_sample(0.0, 1.0)
    second, t = gaussian_sample(mean, sd)
    p, q = scipy.stats.norm(0, s), scipy.stats.norm(mean, t)

    def integrand(x):
        middle = (p.pdf(x) + q.pdf(x)) / 2
        return sum(d.pdf(x) * (d.logpdf(x) - np.log(middle)) / 2 for d in (p, q)) / np.log(2)

    divergence = scipy.integrate.quad(integrand, -8, 8, limit=200)[0]
    assert js_similarity([first, second])[0, 1] == pytest.approx(1 - np.sqrt(divergence), abs=1e-3)


@BOTH
def test_symmetric_zero_diagonal_in_range(samples, measure):
    result = measure(samples)
    assert np.array_equal(result, result.T)
    assert not np.diagonal(result).any()
    assert result.min() >= 0
    assert result.max() <= 1


@BOTH
def test_equal_regions_are_one_and_separate_regions_zero(samples, measure):
    result = measure([samples[0], samples[0].copy(), samples[0] + 50])
    assert result[0, 1] == 1
    assert result[0, 2] == pytest.approx(0, abs=1e-6)


@BOTH
def test_similarity_falls_with_the_shift(measure):
    base = gaussian_sample(0, 1)[0]
    row = measure([base + shift for shift in (0, 0.2, 0.5, 1, 2, 4)])[0, 1:]
    assert (np.diff(row) < 0).all()


@BOTH
def test_order_shift_and_scale_do_not_matter(samples, measure):
    result = measure(samples)
    order = [3, 0, 4, 1, 2]
    reordered = measure([samples[i][::-1] for i in order])
    np.testing.assert_allclose(reordered, result[np.ix_(order, order)], atol=1e-12)
    rescaled = measure([5e3 * region - 7e3 for region in samples])
    np.testing.assert_allclose(rescaled, result, atol=1e-9)


@BOTH
def test_unmeasured_regions_are_nan_and_change_nothing_else(samples, measure):
    padded = [None, *samples, np.array([]), np.full(100, np.nan), np.ones(100), np.arange(29.0)]
    result = measure(padded)
    inside = np.zeros(len(padded), dtype=bool)
    inside[1:6] = True
    assert np.array_equal(~np.isnan(result), inside[:, None] & inside)
    np.testing.assert_array_equal(result[1:6, 1:6], measure(samples))
    assert np.isnan(measure([None, None])).all()


@BOTH
def test_nan_voxels_are_left_out(samples, measure):
    holed = [np.concatenate([[np.nan], samples[0], [np.nan]]), *samples[1:]]
    np.testing.assert_array_equal(measure(holed), measure(samples))


@BOTH
def test_min_samples_is_an_option(samples, measure):
    few = [samples[0][:12], samples[1]]
    assert np.isnan(measure(few)).tolist() == [[True, True], [True, False]]
    assert not np.isnan(measure(few, min_samples=12)).any()


def test_a_bandwidth_below_the_grid_step_does_not_ring():
    spike = np.concatenate([np.full(999, 50.07), [50.0701]])
    result = js_similarity([spike, np.linspace(0, 100, 1000), spike + 8.3])  # 12 grid steps on
    assert result[0, 2] == pytest.approx(0, abs=1e-6)
    assert 0 < result[0, 1] < 0.2


@BOTH
@pytest.mark.parametrize(
    "bad, options, message",
    [
        ([], {}, "must hold a region"),
        ([np.zeros((3, 3))], {}, r"samples\[0\] must be 1-D"),
        ([np.arange(50.0), np.array([np.inf] * 50)], {}, r"samples\[1\].*50 infinite"),
        ([np.arange(50.0)], {"n_points": 4}, "n_points"),
        ([np.arange(50.0)], {"min_samples": 1}, "min_samples"),
    ],
)
def test_errors(measure, bad, options, message):
    with pytest.raises(ValueError, match=message):
        measure(bad, **options)


def test_same_voxels_same_bytes(samples):
    assert js_similarity(samples).tobytes() == js_similarity(samples).tobytes()


def test_real_uptake_is_alike_in_left_and_right(shared_data):
    pet = nibabel.load(shared_data / "pet" / "tpl-Chinese_trc-18FFDG_pet.nii.gz")
    atlas = nibabel.load(shared_data / "atlases" / "Schaefer100_TianS1_2009cAsym_2mm.nii.gz")
    table = shared_data / "atlases" / "Schaefer100_TianS1_label.txt"
    lines = table.read_text(encoding="utf-8").splitlines()[:32]  # name, index R G B A, ...
    index = {name: int(row.split()[0]) for name, row in zip(lines[::2], lines[1::2], strict=True)}
    labels = np.asarray(atlas.dataobj)
    to_pet = np.linalg.inv(pet.affine) @ atlas.affine
    values = np.asarray(pet.dataobj, dtype=float)
    names = [name[:-3] for name in index if name.endswith("-rh")]
    samples = []
    for name in [f"{base}-{side}" for side in ("rh", "lh") for base in names]:
        voxels = np.argwhere(labels == index[name]) @ to_pet[:3, :3].T + to_pet[:3, 3]
        samples.append(values[tuple(np.rint(voxels).astype(int).T)])
    n = len(names)
    assert n == 8
    result = js_similarity(samples)
    across = result[:n, n:]  # right by left
    homologous = np.diagonal(across)
    assert np.median(homologous) > np.median(across[~np.eye(n, dtype=bool)]) + 0.2
    shares = reference_shares(samples, 256)
    expected = 1 - scipy.spatial.distance.jensenshannon(shares[:n], shares[n:], base=2, axis=1)
    np.testing.assert_allclose(homologous, expected, atol=2e-3)
