"""Steps in a process of their own, watched: a time-out, a limit of memory, and nobody else's end.

A worker of Dask only supervises. What computes is its child: started once, so that libraries are
imported and kernels loaded once; ended and started anew when a step hangs, takes more memory than
it may, or dies. The child holds the lock of the step that it runs, and does not outlive its
worker, so that whoever runs the same command next finds the lock free.
"""

import faulthandler
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, NoReturn

from brainnet.io import DataError
from brainnet.workflows.engine.logs import logged, open_log
from brainnet.workflows.engine.needs import timeout_of
from brainnet.workflows.engine.step import StepResult, discard, run_step

__all__ = ["Child", "Limits", "StepError"]

_STARTUP = 300.0  # s in which a process has to be ready for its first step, on a slow disk
_POLL = (0.02, 0.25)  # s between looks at the child, at first and at most
_HEADROOM = 1.5  # GB of address space above the limit, where an allocation is refused outright
_KEPT = 0.5  # share of the limit that a process may hold between steps
_PR_SET_PDEATHSIG = 1
_MAIN = "import sys; from brainnet.workflows.engine.child import main; main(sys.argv[1:])"
#: a child dies with the thread that started it, so this one lives as long as the process
_STARTER = ThreadPoolExecutor(1, "step starter")


class StepError(RuntimeError):
    """A step was ended from outside: time-out, memory, or a crash of its process."""


@dataclass(frozen=True)
class Limits:
    """What every step of a worker is held to.

    Attributes
    ----------
    memory : float
        GB of resident memory of the step's process.
    minutes : float, optional
        Time-out; default each step's own, from `needs`.
    n_threads : int
        Threads of a step.
    scratch : pathlib.Path, optional
        Folder of temporary files.
    """

    memory: float
    minutes: float | None = None
    n_threads: int = 1
    scratch: Path | None = None

    def timeout(self, step: str, inputs: Mapping[str, Path]) -> float:
        """Return the seconds after which a step with these inputs is ended."""
        return 60 * (timeout_of(step, inputs) if self.minutes is None else self.minutes)


class Child:
    """A process that runs steps, one after another.

    Parameters
    ----------
    limits : Limits
        What each step is held to.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._ready = False

    def run_step(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        inputs: Mapping[str, Path],
        outputs: Mapping[str, Path],
        parameters: Mapping[str, Any],
        seed: int | None = None,
        log: Path | None = None,
        running: Callable[[], object] = lambda: None,
    ) -> StepResult:
        """Run one step as `step.run_step` does, but over there; ``log`` gets what it prints.

        Its time runs from when it has its lock: waiting for another run is not its fault.

        Raises
        ------
        StepError
            If the step takes longer or more memory than it may, or its process dies.
        Exception
            Whatever the step raises.
        """
        import cloudpickle

        what = {"inputs": inputs, "outputs": outputs, "parameters": parameters, "seed": seed}
        request = cloudpickle.dumps((name, function, what, log))  # of a notebook, too
        pipe, process = self._started()
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it died: _wait says how
                pipe.send_bytes(request)
            timeout = self.limits.timeout(name, inputs)
            answer, peak = self._wait(name, timeout, running)
        except BaseException as error:
            self.close()
            if isinstance(error, StepError):
                with suppress(DataError):
                    discard(outputs)
            raise
        if _memory_of(process.pid)() > _KEPT * self.limits.memory:
            self.close()  # what a step left behind must not count against the next
        if isinstance(answer, StepResult):
            return replace(answer, memory=round(peak, 3))
        raised, trace = answer
        raised.add_note(f"in the step's own process:\n{trace}")
        raise raised

    def close(self) -> None:
        """End the process, and whatever it started."""
        process, self._process = self._process, None
        if self._pipe is not None:
            self._pipe.close()
        if process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _started(self) -> tuple[Connection, "subprocess.Popen[bytes]"]:
        """Return the pipe and the process, started if there is none that lives."""
        if self._process is None or self._process.poll() is not None or self._pipe is None:
            self.close()
            self._pipe, self._process = _STARTER.submit(_start, self.limits).result()
            self._ready = False
        return self._pipe, self._process

    def _wait(self, name: str, timeout: float, running: Callable[[], object]) -> tuple[Any, float]:
        """Return the answer and the most memory seen, GB; raise at a limit or a death."""
        assert self._pipe is not None
        assert self._process is not None
        peak, watched = 0.0, _memory_of(self._process.pid)
        limit = math.inf if self._ready else _STARTUP
        while True:
            peak = max(peak, self._poll(name, limit, watched))
            try:
                content = self._pipe.recv_bytes()
            except (EOFError, OSError):
                raise StepError(_DIED.format(name, _how(self._process))) from None
            if content == _READY:
                self._ready, limit = True, math.inf
            elif content == _LOCKED:
                limit = timeout
            elif content == _RUNNING:
                running()
            else:
                break
        answer = pickle.loads(content)
        if not isinstance(answer, StepResult) and isinstance(answer[0], MemoryError):
            raise StepError(_OUT_OF_MEMORY.format(name, self.limits.memory))
        return answer, max(peak, watched())

    def _poll(self, name: str, limit: float, watched: Callable[[], float]) -> float:
        """Wait for a message, ``limit`` s at most; return the most memory seen, GB."""
        assert self._pipe is not None
        assert self._process is not None
        start, pause, peak = time.monotonic(), _POLL[0], 0.0
        while not self._pipe.poll(pause):
            if self._process.poll() is not None and not self._pipe.poll(0):
                raise StepError(_DIED.format(name, _how(self._process)))  # what it forked lives on
            pause = min(_POLL[1], 1.5 * pause)
            peak = max(peak, watched())
            if peak > self.limits.memory:
                raise StepError(_OUT_OF_MEMORY.format(name, self.limits.memory))
            if time.monotonic() - start > limit:
                raise StepError(_TIMED_OUT.format(name, limit / 60))
        return peak


#: what a child says besides its answers: it has started; the step has its lock; it must run
_READY, _LOCKED, _RUNNING = b"", b"locked", b"running"
_OUT_OF_MEMORY = (
    "step {!r} needs more memory than the {:.1f} GB that one participant may take, and was ended. "
    "Run again with fewer --nprocs, or more --mem."
)
_TIMED_OUT = (
    "step {!r} was not done after {:g} min and was ended. Look at its input; if it is only slow, "
    "run again with a longer --step-timeout."
)
_DIED = (
    "the process of step {!r} died ({}). If memory is short run again with fewer --nprocs; the "
    "participant's log has what it printed last."
)


def _how(process: "subprocess.Popen[bytes]") -> str:
    """Say how a process ended."""
    code = process.wait()
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _memory_of(pid: int) -> Callable[[], float]:
    """Return a function that gives the resident memory of a process, GB; 0 once it has gone."""
    import psutil

    def resident() -> float:
        try:
            return float(process.memory_info().rss) / 1e9
        except psutil.Error:
            return 0.0

    try:
        process = psutil.Process(pid)
    except psutil.Error:
        return lambda: 0.0
    return resident


def _start(limits: Limits) -> tuple[Connection, "subprocess.Popen[bytes]"]:
    """Start a child in a group of its own; return our end of the pipe and the process."""
    ours, theirs = Pipe()
    command = [sys.executable, "-c", _MAIN, str(theirs.fileno()),
               str(os.getpid()), f"{limits.memory:.3f}"]  # fmt: skip
    try:
        process = subprocess.Popen(
            command,
            env=_environment(limits),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        theirs.close()
    return ours, process


def _environment(limits: Limits) -> dict[str, str]:
    """Return the environment of a child: how many threads each library may start, and where to."""
    threads = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "ITK_GLOBAL_DEFAULT")
    names = [
        f"{each}_NUMBER_OF_THREADS" if each.startswith("ITK") else f"{each}_NUM_THREADS"
        for each in threads
    ]
    environment = {**os.environ, **dict.fromkeys(names, str(limits.n_threads))}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    if limits.scratch is not None:
        environment["TMPDIR"] = str(limits.scratch)
    return environment


def main(arguments: list[str]) -> None:
    """Run the steps that the pipe brings until it closes; what the child process does."""
    number, parent, memory = int(arguments[0]), int(arguments[1]), float(arguments[2])
    _die_with(parent)
    _refuse_above(memory + _HEADROOM)
    faulthandler.enable()
    pipe = Connection(number)
    pipe.send_bytes(_READY)
    while True:
        try:
            request = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        pipe.send_bytes(_answer(request, pipe))


def _answer(request: bytes, pipe: Connection) -> bytes:
    """Run one step; return its pickled result, or its error and where it came from."""
    try:
        name, function, what, log = pickle.loads(request)
        with _logged(log):
            told = {"locked": partial(pipe.send_bytes, _LOCKED),
                    "running": partial(pipe.send_bytes, _RUNNING)}  # fmt: skip
            return pickle.dumps(run_step(name, function, **(what | told)))
    except Exception as error:
        trace = traceback.format_exc()
        try:
            return pickle.dumps((pickle.loads(pickle.dumps(error)), trace))
        except Exception:  # an error that pickle cannot carry
            return pickle.dumps((RuntimeError(f"{type(error).__name__}: {error}"), trace))


@contextmanager
def _logged(path: Path | None) -> Iterator[None]:
    """Send all that is printed or logged, by libraries in C too, to the end of a file."""
    try:
        target = open_log(path or Path(os.devnull))
    except OSError:  # no log: the step is worth more than what it prints
        target = open_log(Path(os.devnull))
    kept = [os.dup(each) for each in (1, 2)]
    try:
        for each in (1, 2):
            os.dup2(target.fileno(), each)
        with logged(target):
            yield
    finally:
        for each, old in zip((1, 2), kept, strict=True):
            with suppress(OSError, ValueError):
                (sys.stdout, sys.stderr)[each - 1].flush()
            os.dup2(old, each)
            os.close(old)
        target.close()


def _die_with(parent: int) -> None:
    """See to it that this process ends when its worker does, however that ends."""
    if sys.platform == "linux":  # at once, whatever this process is busy with
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> NoReturn:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, name="watch parent", daemon=True).start()


def _refuse_above(memory: float) -> None:
    """Have allocations far above the limit refused, before the machine swaps."""
    if sys.platform == "linux":
        import resource

        limit = int(memory * 1e9)
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
