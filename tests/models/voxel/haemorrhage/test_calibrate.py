"""What a judgement is fitted to is what it then says."""

import math

import numpy as np
import pytest

from brainnet.models.voxel.haemorrhage.calibrate import Case, case_of, fit_judgement
from brainnet.models.voxel.haemorrhage.outline import Judgement
from tests.models.voxel.haemorrhage.test_outline import found


def made_cases(n, seed, *, scale=1.0):
    """Outlines are blood with log odds 1 + 2 log ml + logit(mean); volumes err by their shell."""
    rng = np.random.default_rng(seed)
    cases = []
    for _ in range(n):
        volume, mean = math.exp(rng.normal(-0.5, 1.2)), rng.uniform(0.5, 0.99)
        odds = 1 + 2 * math.log(volume) + math.log(mean / (1 - mean))
        is_blood = rng.random() < 1 / (1 + math.exp(-odds))
        shell = rng.uniform(0.1, 0.6)
        true = scale * volume * math.exp(0.5 * (0.1 + shell) * rng.normal())
        cases.append(Case([(volume, mean, is_blood)], [(volume, shell, true)] if is_blood else [],
                          is_blood))  # fmt: skip
    return cases


@pytest.fixture(scope="module")
def judgement():
    return fit_judgement(made_cases(1500, 0, scale=1.2))


def test_planted_odds_are_found(judgement):
    np.testing.assert_allclose(judgement.lesion, (1, 2, 1), atol=0.35)


def test_probabilities_are_shares(judgement):
    cases = made_cases(3000, 1)
    said = np.array([judgement.lesion_probability(*case.pieces[0][:2]) for case in cases])
    so = np.array([case.present for case in cases])
    for low in (0.2, 0.4, 0.6, 0.8):
        some = (said > low) & (said < low + 0.2)
        assert so[some].mean() == pytest.approx(said[some].mean(), abs=0.08)
    scans = np.array([judgement.scan_probability(each) for each in said])
    even = np.where(so, 0.5 / so.mean(), 0.5 / (1 - so.mean()))  # as if half showed blood
    assert np.average(scans, weights=even) == pytest.approx(0.5, abs=0.05)
    bold = np.array([judgement.scan_probability(each) > 0.5 for each in said])
    assert np.average(bold, weights=even) == pytest.approx(0.5, abs=0.1)


def test_volumes_are_scaled_and_intervals_hold_the_truth(judgement):
    assert judgement.scale == pytest.approx(1.2, rel=0.05)
    volumes = [each for case in made_cases(3000, 2, scale=1.2) for each in case.volumes]
    held = [
        low <= true <= high
        for outlined, shell, true in volumes
        for low, high in [judgement.interval(judgement.scale * outlined, shell)]
    ]
    assert np.mean(held) == pytest.approx(0.9, abs=0.03)


def test_nine_of_ten_scans_without_blood_stay_empty():
    cases = made_cases(1500, 4)
    shares = []
    for empty in (0.0, 0.7, 0.9):
        judgement = fit_judgement(cases, false=1.0, empty=empty)
        shown = [
            judgement.lesion_probability(*case.pieces[0][:2]) >= judgement.least
            for case in cases
            if not case.present
        ]
        shares.append(1 - np.mean(shown))
    assert shares[0] < 0.5 < 0.7 <= shares[1] < 0.9 <= shares[2]


def test_too_few_scans_are_refused():
    with pytest.raises(ValueError, match="ten scans with"):
        fit_judgement(made_cases(12, 3))


def test_outlines_are_compared_with_the_truth_on_another_grid():
    outlined = found(
        ("intraparenchymal", (0, 0, 0), 12.0), ("subdural", (28, 0, 0), 5.0),
        judgement=Judgement(least=0.0),
    )  # fmt: skip
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[:3, 3] = -45
    x, y, z = np.meshgrid(*[np.arange(61) * 1.5 - 45] * 3, indexing="ij")
    case = case_of(outlined, x**2 + y**2 + z**2 <= 12**2, affine)
    assert [blood for *_, blood in case.pieces] == [True, False]
    assert case.present
    ((volume, _, true),) = case.volumes
    assert true == pytest.approx(4 / 3 * math.pi * 1.2**3, rel=0.03)
    assert volume > true
