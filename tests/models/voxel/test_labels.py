"""The label table: what a network tells apart, and what it writes."""

import json

import numpy as np
import pytest
import torch

from brainnet.io import DataError
from brainnet.models.voxel.contrast import TISSUE_OF
from brainnet.models.voxel.labels import MAX_SOURCE, LabelTable, load_labels

HEAD = "index\tname\tstructure\tside\ttissue\tsources\n"


def test_brain_table_has_what_it_says():
    table = load_labels("brain")
    assert (table.n_structures, table.n_channels, len(table.indices)) == (18, 20, 33)
    assert table.indices[0] == 0
    assert set(table.regions["tissue"]) == {"GM", "WM", "CSF"}
    sides = table.regions.groupby("structure")["side"].agg(lambda each: set(each.dropna()))
    assert all(each in (set(), {"left", "right"}) for each in sides)


def test_every_source_has_a_tissue_so_that_known_contrasts_know_it():
    table = load_labels("brain")
    sources = torch.nonzero(table.structure_of)[:, 0]
    assert set(sources.tolist()) <= set(TISSUE_OF)


def test_sides_that_a_table_does_not_tell_apart_are_twins_too():
    def row(index, sources, side=None):
        return {"index": index, "name": str(index), "structure": sources if side is None else "h",
                "side": side, "tissue": None, "sources": sources}  # fmt: skip

    hippocampus = LabelTable.from_rows([row(1, "17", "left"), row(2, "53", "right")])
    assert (hippocampus.twin_of[53], hippocampus.twin_of[41]) == (17, 2)
    assert LabelTable.from_rows([row(1, "2,41")]).twin_of[41] == 2
    assert LabelTable.from_rows([row(1, "2"), row(2, "41")]).twin_of[41] == 41  # told apart


def test_sources_find_their_structure_side_and_twin():
    table = load_labels("brain")
    hippocampus = 1 + table.structures.index("hippocampus")
    assert table.structure_of[17] == table.structure_of[53] == hippocampus
    assert (table.side_of[17], table.side_of[53], table.side_of[16]) == (1, 2, 0)
    assert (table.twin_of[53], table.twin_of[17], table.twin_of[62]) == (17, 17, 30)
    assert (table.index_of[53], table.index_of[57], table.index_of[85]) == (53, 41, 24)
    assert table.structure_of[509] == table.side_of[509] == table.index_of[509] == 0  # skin
    assert table.twin_of[509] == 509


def test_probability_of_a_label_is_that_of_its_structure_times_that_of_its_side(toy_table):
    # structures: background 1/6, white 2/6, cortex 3/6; right 3/4
    logits = torch.tensor([1.0, 2.0, 3.0, 3.0]).log()
    found = toy_table.probabilities(logits.reshape(1, 4, 1))[0, :, 0]
    names = ["background", *toy_table.regions["name"]]
    expected = {"background": 1 / 6, "left white": 2 / 24, "right white": 6 / 24,
                "left cortex": 3 / 24, "right cortex": 9 / 24}  # fmt: skip
    assert dict(zip(names, found.tolist(), strict=True)) == pytest.approx(expected)


def test_probabilities_sum_to_one_in_float32_from_bfloat16():
    logits = torch.randn((2, 20, 3, 4, 5), generator=torch.Generator().manual_seed(0))
    found = load_labels("brain").probabilities(logits.bfloat16())
    assert found.dtype == torch.float32
    assert found.shape == (2, 33, 3, 4, 5)
    torch.testing.assert_close(found.sum(1), torch.ones(2, 3, 4, 5))


def test_a_table_without_sides_has_no_channel_for_them():
    rows = [{"index": 1, "name": "a", "structure": "a", "side": None, "tissue": None,
             "sources": "1"}]  # fmt: skip
    table = LabelTable.from_rows(rows)
    assert (table.has_sides, table.n_channels) == (False, 2)
    assert table.probabilities(torch.zeros(1, 2, 1)).flatten().tolist() == [0.5, 0.5]


def test_rows_go_through_json_and_back():
    table = load_labels("brain")
    again = LabelTable.from_rows(json.loads(json.dumps(table.rows(), allow_nan=False)))
    assert again.rows() == table.rows()
    assert np.array_equal(again.indices, table.indices)
    for name in ("structure_of", "side_of", "twin_of"):
        assert torch.equal(getattr(again, name), getattr(table, name))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("1\ta\ta\tn/a\tGM\t3\n1\tb\tb\tn/a\tGM\t4\n", "once each"),
        ("0\ta\ta\tn/a\tGM\t3\n", "from 1 to 32767, once each; got 0"),
        ("1.5\ta\ta\tn/a\tGM\t3\n", "from 1 to 32767"),
        ("32768\ta\ta\tn/a\tGM\t3\n", "from 1 to 32767"),
        ("x\ta\ta\tn/a\tGM\t3\n", "from 1 to 32767"),
        ("1\ta\ta\tLeft\tGM\t3\n", "side must be left, right or missing; got 'Left'"),
        ("1\ta\ta\tn/a\tGrey\t3\n", "tissue must be GM, WM, CSF or missing; got 'Grey'"),
        ("1\ta\ta\tn/a\tGM\t3\n2\tb\ta\tn/a\tGM\t4\n", "nan, nan for 'a'"),
        ("1\ta\ta\tleft\tGM\t3\n2\tb\ta\tleft\tGM\t4\n", "left, left for 'a'"),
        ("1\ta\ta\tleft\tGM\t3\n", "a left and a right one; got left for 'a'"),
        (
            "1\ta\ta\tleft\tGM\t3\n2\tb\ta\tright\tGM\t4\n3\tc\ta\tn/a\tGM\t5\n",
            "right, nan for 'a'",
        ),
        ("1\ta\ta\tn/a\tGM\t3\n2\tb\tb\tn/a\tGM\t3,4\n", "each in one row"),
        (f"1\ta\ta\tn/a\tGM\t{MAX_SOURCE}\n", "from 1 to 4095"),
        ("1\ta\ta\tn/a\tGM\t3;4\n", "3;4"),
        ("1\ta\ta\tn/a\tGM\tn/a\n", "each in one row"),
    ],
)
def test_refuses_a_broken_table(tmp_path, rows, problem):
    path = tmp_path / "own.tsv"
    path.write_text(HEAD + rows)
    with pytest.raises(DataError, match=problem) as caught:
        load_labels(path)
    assert caught.value.path == path


def test_says_which_tables_there_are_and_which_columns_are_missing(tmp_path):
    with pytest.raises(ValueError, match=r"brain, haemorrhage, or the path.*; got 'brian'"):
        load_labels("brian")
    path = tmp_path / "own.tsv"
    path.write_text("index\tname\n1\ta\n")
    with pytest.raises(DataError, match="structure, side, tissue, sources"):
        load_labels(path)
    with pytest.raises(ValueError, match="columns structure"):
        LabelTable.from_rows([{"index": 1, "name": "a"}])
    with pytest.raises(ValueError, match="regions must have a row"):
        LabelTable.from_rows([])
