"""What a run would do, without doing it: steps, scans, time, memory and disk.

The pipelines are gone through as always, with an ``execute`` that runs nothing: a step whose
record matches is done, and one that reads what another would write anew has to run.
"""

import heapq
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from brainnet import io
from brainnet.bids import ENTITY_ORDER
from brainnet.bids.names import parse
from brainnet.workflows import participant
from brainnet.workflows.engine import Attempts, Outcome
from brainnet.workflows.engine.needs import NEEDS, USUAL, Needs, needs_of, unpacked
from brainnet.workflows.engine.pace import pace
from brainnet.workflows.engine.resources import Resources
from brainnet.workflows.engine.step import StepResult, is_done, sidecar_path
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.own_atlas import planned
from brainnet.workflows.participant import Job
from brainnet.workflows.settings import Settings

#: data types in the order in which their scans are processed, and what each is called
PIPELINES = {"anat": "structure", "func": "function", "pet": "metabolism", "": "all together"}
_SESSION = re.compile(r"ses-[0-9A-Za-z]+")
#: entities that a scan has; the others are those of what is made of it
_OF_SCANS = ENTITY_ORDER[: ENTITY_ORDER.index("space")]


@dataclass(frozen=True)
class PlannedStep:
    """One step, and what it would take.

    Attributes
    ----------
    name : str
        Its name.
    datatype, scan : str
        Of the scan that it works on, such as ``func`` and ``sub-01_task-rest``; a data type of
        ``""`` stands for what is made of all scans together.
    done : bool
        Whether its record matches, so that it would be skipped.
    needs : Needs
        What it would take if it ran.
    """

    name: str
    datatype: str
    scan: str
    done: bool
    needs: Needs


@dataclass(frozen=True)
class ParticipantPlan:
    """What would be done for one participant.

    Attributes
    ----------
    label : str
        The participant's label.
    steps : list of PlannedStep
        In the order in which they would run.
    failures : list of str
        What is known to fail before anything has run.
    """

    label: str
    steps: list[PlannedStep] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def to_run(self) -> list[PlannedStep]:
        """The steps that would run."""
        return [step for step in self.steps if not step.done]

    @property
    def minutes(self) -> float:
        """Time that they take, one after another."""
        return sum(step.needs.minutes for step in self.to_run)

    @property
    def memory(self) -> float:
        """GB that the largest of them takes."""
        return max((step.needs.memory for step in self.to_run), default=0.0)

    @property
    def disk(self) -> float:
        """MB that their outputs take."""
        return sum(step.needs.disk for step in self.to_run)


def make_plan(
    bids_dir: Path | str,
    out_dir: Path | str,
    *,
    participant_label: Sequence[str] | None = None,
    session_label: Sequence[str] | str | None = None,
    settings: Settings | None = None,
) -> list[ParticipantPlan]:
    """Return what `participant.run` would do with the same arguments; write nothing.

    Returns
    -------
    list of ParticipantPlan
        One a participant.

    Raises
    ------
    brainnet.io.DataError, ValueError
        As `participant.run`.

    Notes
    -----
    A step that would run is taken to change its outputs, so that what depends on them would run
    too. Where it gives the same bytes again, what depends on it will be skipped after all.
    Estimates are for a common processor, or, where ``out_dir`` has records of earlier runs, for
    those that ran them.
    """
    bids_dir, out_dir = Path(bids_dir), Path(out_dir)
    settings = settings or Settings()
    jobs = participant.find_jobs(bids_dir, out_dir, participant_label, session_label, settings)
    settings, stale = planned(settings, out_dir)
    plans = [
        plan_participant(label, replace(job, settings=settings), stale)
        for label, job in jobs.items()
    ]
    return _paced(plans, out_dir / "logs")


def _paced(plans: list[ParticipantPlan], log_dir: Path) -> list[ParticipantPlan]:
    """Return plans whose estimates are corrected by what earlier runs took here."""
    expected = {(each.label, step.name): step.needs for each in plans for step in each.steps}
    found = pace(log_dir, expected)
    return [replace(each, steps=[_at(step, found) for step in each.steps]) for each in plans]


def _at(step: PlannedStep, found: Mapping[str, tuple[float, float]]) -> PlannedStep:
    time, memory = found.get(step.name, (1.0, 1.0))
    needs = replace(
        step.needs, minutes=step.needs.minutes * time, memory=step.needs.memory * memory
    )
    return replace(step, needs=needs)


def plan_participant(label: str, job: Job, stale: Sequence[Path] = ()) -> ParticipantPlan:
    """Return what would be done for one participant; ``stale`` files would be written anew."""
    planner = Planner(job.out_dir, stale)
    outcome: Outcome = participant.process(
        label, job, lambda: Steps(lambda _name: None, planner), _Unlogged
    )
    return ParticipantPlan(label, planner.steps, outcome.failures)


class _Unlogged(Attempts):
    """Attempts that write no log."""

    def _log(self, error: Exception) -> None:
        pass


class Planner:
    """Runs no step, but notes whether it would have to run.

    Parameters
    ----------
    out_dir : pathlib.Path
        The derivatives dataset.
    stale : sequence of pathlib.Path
        Files that would be written anew before any step.

    Attributes
    ----------
    steps : list of PlannedStep
        In order.
    """

    def __init__(self, out_dir: Path, stale: Sequence[Path] = ()) -> None:
        self.steps: list[PlannedStep] = []
        self._out_dir = out_dir
        self._anew = set(stale)
        self._sizes: dict[tuple[str, str], float] = {}

    def __call__(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        inputs: Mapping[str, Path],
        outputs: Mapping[str, Path],
        parameters: Mapping[str, Any],
        seed: int | None = None,
    ) -> StepResult:
        """Note a step; raise what it would for inputs that are not there."""
        datatype, scan = _scan_of(next(iter(outputs.values())), self._out_dir)
        size = self._size(datatype, scan, inputs)
        found = None
        if not self._must_run(name, inputs, outputs):
            found = is_done(
                name, function, inputs=inputs, outputs=outputs, parameters=parameters, seed=seed
            )
        needs = _needs(name, parameters).of(size)
        self.steps.append(PlannedStep(name, datatype, scan, found is not None, needs))
        if found is None:
            self._anew.update(outputs.values())
        return found or StepResult(dict(outputs), False, [], 0.0)

    def _must_run(self, name: str, inputs: Mapping[str, Path], outputs: Mapping[str, Path]) -> bool:
        """Say whether a step has to run for a reason that its record need not be read for."""
        for key, path in inputs.items():
            if path not in self._anew and not path.is_file():
                remedy = "Run the step that writes it first, or check the path"
                raise io.DataError(path, f"input {key!r} of step {name!r} does not exist", remedy)
        there = all(path.is_file() and sidecar_path(path).is_file() for path in outputs.values())
        return not there or not self._anew.isdisjoint(inputs.values())

    def _size(self, datatype: str, scan: str, inputs: Mapping[str, Path]) -> float:
        """Return the size of the scan that a step works on, as a multiple of the usual."""
        raw = [path for path in inputs.values() if self._out_dir not in path.parents]
        if raw and (datatype, scan) not in self._sizes:
            size = max(unpacked(path) for path in raw) / 1e6
            self._sizes[datatype, scan] = size / USUAL.get(datatype, size or 1.0)
        return self._sizes.get((datatype, scan), 1.0)


def _needs(name: str, parameters: Mapping[str, Any]) -> Needs:
    """Return what a step needs, by its name and what it was told."""
    for choice in (parameters.get("engine"), parameters.get("quality")):
        if f"{name} ({choice})" in NEEDS:
            return NEEDS[f"{name} ({choice})"]
    return needs_of(name)


def _scan_of(output: Path, out_dir: Path) -> tuple[str, str]:
    """Return data type and scan that a result's name tells of."""
    folder = output.parent.name
    if folder not in PIPELINES or output.parent == out_dir:
        session = _SESSION.search(output.name)
        return "", session[0] if session else ""
    entities, _ = parse(output.name.split(".")[0])
    kept = [f"{key}-{value}" for key, value in entities.items() if key in _OF_SCANS]
    return folder, "_".join(kept)


@dataclass(frozen=True)
class Totals:
    """What all participants take together: minutes by the clock, GB and MB at most."""

    minutes: float
    memory: float
    disk: float
    workers: int


def totals(plans: Sequence[ParticipantPlan], resources: Resources) -> Totals:
    """Return what the participants take, ``resources`` allowing so many at a time."""
    work = [plan for plan in plans if plan.to_run]
    workers = resources.workers(max(1, len(work)))
    free = [0.0] * workers
    for plan in work:
        heapq.heappush(free, heapq.heappop(free) + plan.minutes)
    memory = sum(sorted((plan.memory for plan in work), reverse=True)[:workers])
    return Totals(max(free), memory, sum(plan.disk for plan in work), workers)


def free_disk(folder: Path) -> float:
    """Return the MB that are free where a folder is, or would be made."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free / 1e6


def describe(plan: ParticipantPlan) -> Iterator[str]:
    """Yield lines of text: the participant's sum, and its scans with the steps of each."""
    yield summary(plan)
    groups: dict[tuple[str, str], list[PlannedStep]] = {}
    for step in plan.steps:
        groups.setdefault((step.datatype, step.scan), []).append(step)
    for (datatype, scan), steps in groups.items():
        names = [step.name for step in steps if not step.done]
        parts = [f"{len(steps) - len(names)} done"] if len(names) < len(steps) else []
        parts += [f"to run: {', '.join(names)}"] if names else []
        which = f" ({scan})" if scan else ""
        yield from _wrapped(f"{PIPELINES[datatype]}{which}: {'; '.join(parts)}")
    for failure in plan.failures:
        yield from _wrapped(f"WOULD FAIL: {failure}")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent="  ", subsequent_indent="    ",
                         break_long_words=False, break_on_hyphens=False)  # fmt: skip


def summary(plan: ParticipantPlan) -> str:
    """Return one line: how many steps, and what they take."""
    done = len(plan.steps) - len(plan.to_run)
    fails = f", {len(plan.failures)} would fail" if plan.failures else ""
    if not plan.to_run:
        return f"sub-{plan.label}: nothing to do, {done} steps are done{fails}"
    return (f"sub-{plan.label}: {len(plan.to_run)} steps to run, {done} done{fails}; about "
            f"{amount(plan.minutes, plan.memory, plan.disk)}")  # fmt: skip


def amount(minutes: float, memory: float, disk: float) -> str:
    """Return time, memory (GB) and disk (MB) in words.

    Examples
    --------
    >>> amount(95, 2.04, 1500)
    '1 h 35 min, 2.0 GB of memory, 1.5 GB of disk'
    >>> amount(0.4, 0.5, 12)
    '1 min, 0.5 GB of memory, 12 MB of disk'
    """
    hours, rest = divmod(max(1, round(minutes)), 60)
    time = f"{hours} h {rest} min" if hours else f"{rest} min"
    space = f"{disk / 1000:.1f} GB" if disk >= 1000 else f"{disk:.0f} MB"
    return f"{time}, {memory:.1f} GB of memory, {space} of disk"
