"""The table of modalities is the one place where BIDS names meet signal kinds."""

import dataclasses

import pytest

from brainnet.modalities import MODALITIES, modality_of


def test_the_three_modalities_and_their_kinds():
    kinds = {name: (row.suffix, row.datatype, row.kind) for name, row in MODALITIES.items()}
    assert kinds == {
        "functional": ("bold", "func", "timeseries"),
        "morphological": ("T1w", "anat", "samples"),
        "metabolic": ("pet", "pet", "samples"),
    }


def test_rows_are_named_by_their_key_and_complete():
    for name, row in MODALITIES.items():
        assert row.name == name
        assert all(dataclasses.astuple(row))
        assert modality_of(row.suffix, row.datatype) is row


def test_suffix_and_datatype_must_both_match():
    assert modality_of("bold", "anat") is None
    assert modality_of("sbref", "func") is None


def test_the_table_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODALITIES["functional"].kind = "values"  # type: ignore[misc]
    with pytest.raises(TypeError):
        MODALITIES["new"] = MODALITIES["functional"]  # type: ignore[index]
