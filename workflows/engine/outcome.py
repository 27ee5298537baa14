"""What became of a participant: its outcome, its failures in words, and the marks on the disk."""

import re
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from brainnet import io
from brainnet.bids import Scan
from brainnet.workflows.engine.child import StepError
from brainnet.workflows.engine.logs import open_log

_SCOPE = "in a run with "
T = TypeVar("T")


@dataclass(frozen=True)
class StepReport:
    """What one step took.

    Attributes
    ----------
    step, output : str
        Its name and its first output's.
    skipped : bool
        Whether its record matched, so that nothing was computed.
    seconds, memory : float
        What it took now: s, and GB at most (0 where nobody watched).
    """

    step: str
    output: str
    skipped: bool
    seconds: float
    memory: float


@dataclass(frozen=True)
class Outcome:
    """What became of one participant.

    Attributes
    ----------
    label : str
        The participant's label.
    failures : list of str
        One line a pipeline that failed: what, file, rule, remedy. Empty if all went well.
    pages : list of pathlib.Path
        Reports that were written.
    steps : list of StepReport
        The steps that ended well, in order.
    started : bool
        False for one that the run stopped before (--stop-on-first-crash).
    scope : str
        What of the participant the run was confined to (``--anat-only``); empty: nothing.
    """

    label: str
    failures: list[str] = field(default_factory=list)
    pages: list[Path] = field(default_factory=list)
    steps: list[StepReport] = field(default_factory=list)
    started: bool = True
    scope: str = ""


def mark(outcome: Outcome, log_dir: Path) -> None:
    """Keep ``logs/sub-X.failed`` while the last run failed; the group level reads it.

    A run that was confined to less than the one that failed does not mend it.
    """
    if not outcome.started:  # what an earlier run made of the participant stands
        return
    with suppress(OSError):
        (log_dir / f"sub-{outcome.label}.running").unlink(missing_ok=True)
    path = log_dir / f"sub-{outcome.label}.failed"
    scope = f"{_SCOPE}{outcome.scope}"
    with suppress(OSError, io.DataError):
        if outcome.failures:
            io.save_text("\n".join([*outcome.failures, *([scope] if outcome.scope else [])]) + "\n",
                         path)  # fmt: skip
        elif path.exists() and (not outcome.scope or scope in io.load_text(path).splitlines()):
            path.unlink()


class Running:
    """Marks a participant from the first step that computes until the run has its outcome.

    Whoever is killed in between leaves ``logs/sub-X.running``, and the group level knows that
    what lies there is of two runs.
    """

    def __init__(self, label: str, log_dir: Path) -> None:
        self._path = log_dir / f"sub-{label}.running"
        self._marked = False

    def __call__(self) -> None:
        """Put the mark, once."""
        if not self._marked:
            with suppress(OSError, io.DataError):
                io.save_text("its last run was ended before it was done\n", self._path)
        self._marked = True


class Attempts:
    """Calls that may fail without stopping the rest of a participant.

    Attributes
    ----------
    label : str
        The participant's label.
    failures : list of str
        One line a failed call; its traceback stands in the participant's log.

    Parameters
    ----------
    label : str
        The participant's label.
    log_dir : pathlib.Path
        Where the log is written.
    hide : sequence of pathlib.Path
        Folders whose files are named from there on: where a dataset lies is nobody's business.
    """

    def __init__(self, label: str, log_dir: Path, *, hide: Sequence[Path] = ()) -> None:
        self.label = label
        self.failures: list[str] = []
        self._log_dir = log_dir
        self._hide = [f"{form}/" for folder in hide for form in (folder.absolute(), folder)]

    def __call__(self, function: Callable[..., T], *args: object) -> T | None:
        """Return what ``function`` returns, or None and note why it failed."""
        try:
            return function(*args)
        except Exception as error:
            self._log(error)
            self.failures.append(self._describe(error, args))
            return None

    def _describe(self, error: Exception, args: Sequence[object]) -> str:
        """Return one line with the file's name and without where the datasets lie."""
        text = str(error)
        if not isinstance(error, io.DataError):
            scans = [arg.path.name for arg in args if isinstance(arg, Scan)]
            if not isinstance(error, StepError):
                text = f"{type(error).__name__}: {text} (traceback in logs/sub-{self.label}.log)"
            text = ": ".join([*scans, text])
        for folder in self._hide:
            text = re.sub(rf"(?<![\w./-]){re.escape(folder)}", "", text)
        return text

    def _log(self, error: Exception) -> None:
        """Append the traceback to the participant's log, if the disk still takes it."""
        text = "".join(traceback.format_exception(error)) + "\n"
        with suppress(OSError), open_log(self._log_dir / f"sub-{self.label}.log") as log:
            log.write(text.encode(errors="replace"))
