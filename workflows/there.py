"""Pages again from what is there: no step runs but those that write reports."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from brainnet import io
from brainnet.workflows.engine.step import StepResult, sidecar_path
from brainnet.workflows.engine.steps import Execute

#: the steps that write pages
REPORTS = frozenset({"report"})


def taking_what_is_there(execute: Execute) -> Execute:
    """Return what runs reports as ``execute`` does, and of other steps takes what they left.

    Whether it is up to date is not asked; what is missing is an error that names it.
    """
    return partial(_take, execute)


def _take(
    execute: Execute,
    name: str,
    function: Callable[..., Any],
    *,
    outputs: Mapping[str, Path],
    **rest: Any,
) -> StepResult:
    """Run a report; of any other step return what it once made."""
    if name in REPORTS:
        return execute(name, function, outputs=outputs, **rest)
    for path in outputs.values():
        if not path.is_file():
            what = f"is not there: the step {name!r} has not gone through"
            raise io.DataError(path, what, "Run again without --reports-only")
    return StepResult(dict(outputs), True, _warnings(outputs), 0.0)


def _warnings(outputs: Mapping[str, Path]) -> list[str]:
    """Return what a step warned of when it ran."""
    record = io.load_json(sidecar_path(next(iter(outputs.values())))).get("Brainnet", {})
    return [str(text) for text in record.get("Warnings", [])]
