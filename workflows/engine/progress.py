"""How far a run is, in the terminal: per participant and step, with the time still to go."""

import logging
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brainnet.workflows.engine import Outcome

_LOG = logging.getLogger("brainnet")
_SHOWN = 16  # participants at work that get a line of their own
_PER_SECOND = 4


class Progress:
    """Live lines on a terminal; one line for each finished participant anywhere else.

    Parameters
    ----------
    n_participants : int
        How many there are.
    """

    def __init__(self, n_participants: int) -> None:
        self._total = n_participants
        self._start = time.monotonic()
        self._finished = self._failed = 0
        self._steps: dict[str, tuple[str, float]] = {}
        self._guard = threading.Lock()
        self._live: Any = None

    def __enter__(self) -> "Progress":
        """Show, on a terminal."""
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(get_renderable=self._render, console=Console(stderr=True),
                              refresh_per_second=_PER_SECOND)  # fmt: skip
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state on the screen."""
        with self._guard:
            self._steps.clear()
        if self._live is not None:
            self._live.stop()

    def step(self, label: str, step: str) -> None:
        """Note that a participant has come to a step."""
        with self._guard:
            self._steps[label] = (step, time.monotonic())
        if self._live is None:
            _LOG.info("sub-%s: %s", label, step)

    def finish(self, outcome: "Outcome") -> None:
        """Note what became of a participant."""
        with self._guard:
            self._steps.pop(outcome.label, None)
            self._finished += 1
            self._failed += bool(outcome.failures) and outcome.started
        if self._live is None:
            end = "FAILED: " if outcome.started else ""
            end = f"{end}{outcome.failures[0]}" if outcome.failures else "done"
            print(f"[{self._finished}/{self._total}] sub-{outcome.label}: {end} ({self._times()})",
                  file=sys.stderr, flush=True)  # fmt: skip

    def _times(self) -> str:
        """Say how long it has taken, and how long it will at this pace."""
        taken = time.monotonic() - self._start
        if not 0 < self._finished < self._total:
            return _clock(taken)
        left = taken / self._finished * (self._total - self._finished)
        return f"{_clock(taken)}, {_clock(left)} to go"

    def _render(self) -> Any:
        """Draw the bar and the participants at work."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        head = Table.grid(padding=(0, 1))
        failed = f", {self._failed} failed" if self._failed else ""
        head.add_row(
            "participants",
            ProgressBar(total=max(1, self._total), completed=self._finished, width=30),
            f"{self._finished}/{self._total}{failed}",
            Text(self._times(), style="dim"),
        )
        return Group(head, *self._lines())

    def _lines(self) -> Iterator[Any]:
        """Yield a line for each participant at work, the longest at its step first."""
        from rich.text import Text

        with self._guard:
            working = sorted(self._steps.items(), key=lambda item: item[1][1])
        now = time.monotonic()
        for label, (step, since) in working[:_SHOWN]:
            yield Text(f"  sub-{label}  {step}  {_clock(now - since)}")
        if len(working) > _SHOWN:
            yield Text(f"  and {len(working) - _SHOWN} more", style="dim")


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
