import numpy as np
import pytest

from brainnet.connectome.kinds import KINDS, check_kinds, kinds_of


def test_every_kind_makes_a_network_of_every_region():
    rng = np.random.default_rng(0)
    series = rng.standard_normal((40, 5))
    series[:, 2] = np.nan
    samples = [*rng.standard_normal((2, 200)), None, *rng.standard_normal((2, 200))]
    for kind in KINDS.values():
        network = kind.measure(series if kind.signal == "timeseries" else samples)
        assert np.isnan(network[2]).all()
        kept = np.delete(np.delete(network, 2, 0), 2, 1)
        assert np.isfinite(kept).all()
        assert np.array_equal(kept, kept.T)


def test_no_two_kinds_share_a_name_of_files():
    assert len({kind.stat for kind in KINDS.values()}) == len(KINDS)


def test_what_is_not_asked_for_has_its_default():
    names = ["kl", "partial"]
    assert [kind.name for kind in kinds_of("timeseries", names)] == ["partial"]
    assert [kind.name for kind in kinds_of("samples", names)] == ["kl"]
    assert [kind.name for kind in kinds_of("samples", ["spearman"])] == ["js"]


@pytest.mark.parametrize(
    "name, word",
    [
        ("pearsn", r"must be of pearson, .*; got 'pearsn'\. Did you mean pearson"),
        ("", "got ''"),
        ("tangent", "within the folds"),
        ("covariance", "arbitrary units"),
        ("precision", "arbitrary units"),
    ],
)
def test_what_is_no_kind_is_named(name, word):
    with pytest.raises(ValueError, match=word):
        check_kinds(["js", name])
