"""What a run did, for machines: one file a run, one line a participant, whole after any kill.

``logs/run-<start>-<process>-<number>.jsonl`` holds JSON lines: the first says what was asked, each
further one what became of a participant and how long each step took, the last one how the run
ended. A run without a last line was killed.
"""

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainnet import __version__
from brainnet.workflows.engine.logs import open_log

if TYPE_CHECKING:
    from brainnet.workflows.engine import Outcome


class Manifest:
    """The record of one run.

    Parameters
    ----------
    log_dir : pathlib.Path
        Where it is written.
    asked : mapping
        What the run was told, values that JSON can hold (paths become text).
    """

    def __init__(self, log_dir: Path, asked: Mapping[str, Any]) -> None:
        now = datetime.now(UTC)
        stamp = now.strftime("%Y%m%dT%H%M%S")
        self.path = log_dir / f"run-{stamp}-{os.getpid()}-{secrets.token_hex(3)}.jsonl"
        self._counts = {"done": 0, "failed": 0, "not started": 0}
        self._write({"brainnet": __version__, "started": now.isoformat(), **asked})

    def add(self, outcome: "Outcome") -> None:
        """Add what became of a participant."""
        status = "failed" if outcome.failures else "done"
        status = status if outcome.started else "not started"
        self._counts[status] += 1
        pages = [page.name for page in outcome.pages]
        steps = [asdict(step) for step in outcome.steps]
        self._write({"participant": outcome.label, "status": status, "pages": pages,
                     "failures": outcome.failures, "steps": steps})  # fmt: skip

    def close(self, *, stopped: str = "") -> None:
        """Say how the run ended; ``stopped`` is why, where it did not go through."""
        end = {"ended": datetime.now(UTC).isoformat(), **self._counts}
        self._write(end | ({"stopped": stopped} if stopped else {}))

    def _write(self, line: Mapping[str, Any]) -> None:
        """Append a whole line, if the disk takes it: a run is worth more than its record."""
        text = json.dumps(line, ensure_ascii=False, default=str) + "\n"
        content = text.encode(errors="backslashreplace")  # a path may hold half a character
        with suppress(OSError), open_log(self.path) as stream:
            before = stream.seek(0, os.SEEK_END)
            if stream.write(content) != len(content):
                stream.truncate(before)
