"""The table of a training's epochs."""

import pytest

from brainnet.io import DataError, load_table
from brainnet.models.core.log import TableLogger


def test_has_a_row_an_epoch_and_goes_on_after_a_kill(tmp_path):
    path = tmp_path / "log.tsv"
    first = TableLogger(path)
    for epoch, loss in enumerate([0.9, 0.7, 0.5]):
        first.log_metrics({"loss/training": loss}, step=epoch)
    again = TableLogger(path)  # the state was of epoch 1: epochs 1 and 2 come once more
    assert again.seconds == first.seconds
    again.log_metrics({"loss/training": 0.6}, step=1)
    table = load_table(path)
    assert table["epoch"].tolist() == [0, 1]
    assert table["loss/training"].tolist() == [0.9, 0.6]
    assert again.seconds == pytest.approx(table["seconds"].sum())


def test_refuses_a_table_that_is_something_else(tmp_path):
    path = tmp_path / "log.tsv"
    path.write_text("epoch\tloss\n0\t1\n")
    with pytest.raises(DataError, match="seconds"):
        TableLogger(path)
