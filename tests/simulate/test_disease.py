"""The table behind every simulated modality."""

import numpy as np
import pytest

from brainnet.atlas import Atlas, load
from brainnet.simulate.disease import STAGES, region_table, regional, severity, uptake_by_label


def test_every_region_of_the_default_atlas_has_a_row(atlas: Atlas) -> None:
    assert set(region_table().index) == set(atlas.indices.tolist())
    assert regional(atlas).index.tolist() == atlas.indices.tolist()


def test_rows_name_the_region_they_stand_for(atlas: Atlas) -> None:
    table = region_table()
    for index, name in zip(atlas.indices, atlas.names, strict=True):
        assert table.loc[index, "name"] in name.lower()
        assert (table.loc[index, "hemisphere"] == "L") == ("left" in name.lower() or "lh" in name)


def test_uptake_never_rises_with_the_stage() -> None:
    labels = sorted(uptake_by_label())
    values = np.array([[uptake_by_label(stage)[each] for each in labels] for stage in STAGES])
    assert np.all(np.diff(values, axis=0) <= 0)
    assert values[-1, labels.index(1025)] < 0.8 * values[0, labels.index(1025)]
    assert np.ptp(values[:, labels.index(8)]) == 0  # the reference region is spared


def test_unknown_stage_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"stage must be one of CN.*'MCI'"):
        severity("MCI")


def test_another_atlas_takes_the_disease_by_overlap() -> None:
    other = load("Destrieux")
    table = regional(other)
    assert table.index.tolist() == other.indices.tolist()
    assert not table.isna().to_numpy().any()
    row = dict(zip(other.names, table["atrophy"], strict=True))
    assert row["Left-Hippocampus"] == 1.0
    assert row["ctx_lh_G_precuneus"] > 0.4
    assert row["ctx_rh_G_precentral"] < 0.1
    assert table["system"].to_numpy()[other.names.index("ctx_rh_G_precuneus")] == "default"
    table.loc[:, "atrophy"] = 9.0  # the caller's own copy
    assert regional(other)["atrophy"].max() <= 1.0
