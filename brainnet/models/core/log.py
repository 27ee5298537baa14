"""What was logged as a network trained, as a table: readable without TensorBoard."""

import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import pandas as pd
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.utilities.rank_zero import rank_zero_only

from brainnet.io import load_table, save_table

__all__ = ["TableLogger"]


class TableLogger(Logger):
    """Keep one row an epoch in a table: the losses, the learning rate and the time it took.

    A run that goes on after a kill goes on in the same table.

    Parameters
    ----------
    path : path
        A ``.tsv``; columns ``epoch``, what is logged, and ``seconds``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     logger = TableLogger(Path(folder) / "log.tsv")
    ...     logger.log_metrics({"loss/training": 0.5}, step=0)
    ...     list(TableLogger(Path(folder) / "log.tsv").rows[0])
    ['epoch', 'loss/training', 'seconds']
    """

    def __init__(self, path: Path | str) -> None:
        self.path, self.since = Path(path), time.monotonic()
        self.rows: list[dict[str, Any]] = []
        if self.path.exists():
            self.rows = [
                {str(name): value for name, value in row.items()}
                for row in load_table(self.path, required=("epoch", "seconds")).to_dict("records")
            ]

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def version(self) -> str:
        """No version: there is one table."""
        return ""

    @property
    def seconds(self) -> float:
        """How long the epochs took, over all runs."""
        return float(sum(row["seconds"] for row in self.rows))

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Write an epoch's row; one that is there already is written anew."""
        epoch = len(self.rows) if step is None else step
        now = time.monotonic()
        row = {"epoch": epoch, **metrics, "seconds": round(now - self.since, 1)}
        self.rows = [each for each in self.rows if each["epoch"] < epoch] + [row]
        self.since = now
        save_table(pd.DataFrame(self.rows), self.path)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Do nothing: settings stand in the training's record."""
