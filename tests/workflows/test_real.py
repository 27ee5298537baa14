"""Both real participants through the participant level, as a user would run them."""

from pathlib import Path

import numpy as np
import pytest

from brainnet import atlas, io
from brainnet.workflows import participant
from brainnet.workflows.engine.resources import Resources
from brainnet.workflows.settings import Settings


@pytest.fixture(scope="module")
def real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("real")
    settings = Settings(simulate_pet=True)
    outcomes = participant.run(
        shared_data / "bids", out, settings=settings, resources=Resources(n_procs=2)
    )
    assert [outcome.failures for outcome in outcomes] == [[], []]
    return out


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_every_network_has_every_region(real: Path) -> None:
    names = atlas.load("DesikanKilliany").names
    paths = sorted(real.glob("sub-*/**/*_relmat.tsv"))
    assert len(paths) == 6
    for path in paths:
        assert list(io.load_matrix(path).columns) == names


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_what_the_run_did_not_see_is_nan(real: Path) -> None:
    """The BOLD run of sub-01 ends at mid-cerebellum."""
    (path,) = real.glob("sub-01/func/*_relmat.tsv")
    network = io.load_matrix(path)
    unmeasured = list(network.columns[network.isna().all(axis=0)])
    assert unmeasured == ["Left-Cerebellum-Cortex", "Right-Cerebellum-Cortex"]
    (path,) = real.glob("sub-01/func/*_stat-coverage_bold.tsv")
    coverage = io.load_table(path).set_index("name")["coverage"]
    assert coverage[unmeasured].max() < 0.5
    assert coverage.drop(unmeasured).min() >= 0.5


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_volumes_are_those_of_adults(real: Path) -> None:
    for subject in ("01", "02"):
        (path,) = real.glob(f"sub-{subject}/anat/*_stat-volume_morph.tsv")
        volumes = io.load_table(path).set_index("name")["value"]
        assert volumes.notna().all()
        assert 300 < volumes.sum() < 900  # ml of grey matter inside the atlas's labels
        for side in ("Left", "Right"):
            assert 2 < volumes[f"{side}-Hippocampus"] < 6


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_simulated_pet_says_so_and_is_recovered(real: Path) -> None:
    for subject in ("01", "02"):
        assert "SIMULATED DATA" in (real / f"sub-{subject}.html").read_text()
        (path,) = real.glob(f"sub-{subject}/pet/*_stat-mean_desc-suvr_pet.tsv")
        (truth,) = real.glob(f"sourcedata/simulated/sub-{subject}/pet/*_desc-truth_pet.tsv")
        found = io.load_table(path)["value"].to_numpy()
        error = np.abs(found / io.load_table(truth)["suvr_blurred"].to_numpy() - 1)
        assert error.max() < 0.10
