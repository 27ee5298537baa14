"""The steps of one participant: told to whoever watches, and remembered for the report."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from brainnet.workflows.engine.step import StepResult, run_step

Execute = Callable[..., StepResult]


class Steps:
    """Run steps, tell each step's name as it starts, and keep what each one gave.

    Parameters
    ----------
    notify : callable
        Called with the name of each step before it runs.
    execute : callable
        Runs one step, with the signature of `step.run_step`: in this process (default), in a
        watched one (`child.Child.run_step`), or not at all but for saying what would run.

    Attributes
    ----------
    results : dict of str to StepResult
        By name of the step and of its first output, in the order they ran.
    """

    def __init__(self, notify: Callable[[str], None], execute: Execute = run_step) -> None:
        self.results: dict[tuple[str, str], StepResult] = {}
        self._notify = notify
        self._execute = execute
        self._notes: list[str] = []

    def run(
        self,
        name: str,
        function: Callable[..., Mapping[str, Mapping[str, Any]] | None],
        *,
        inputs: Mapping[str, Path],
        outputs: Mapping[str, Path],
        parameters: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> StepResult:
        """Run one step, or skip it where its record matches; see `step.run_step`."""
        self._notify(name)
        result = self._execute(
            name,
            function,
            inputs=inputs,
            outputs=outputs,
            parameters=parameters or {},
            seed=seed,
        )
        self.results[name, next(iter(outputs.values())).name] = result
        return result

    def wrap(self, wrapper: Callable[[Execute], Execute]) -> None:
        """Run each further step as ``wrapper`` says, which is given what runs it now."""
        self._execute = wrapper(self._execute)

    def warn(self, text: str) -> None:
        """Note what the user should know that no step says."""
        self._notes.append(text)

    @property
    def warnings(self) -> list[str]:
        """What the user should know, each once, in order."""
        told = [text for result in self.results.values() for text in result.warnings]
        return list(dict.fromkeys([*self._notes, *told]))
