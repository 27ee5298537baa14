"""Start a command, find its processes, kill some, and look at what it left: for the tests here."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0  # s; nothing waits that long unless it has gone wrong
KINDS = ("parent", "worker", "child", "tree")


@dataclass
class Run:
    """A command that runs, or ran, with all that it ever started."""

    process: "subprocess.Popen[bytes]"
    output: Path
    seen: set[psutil.Process] = field(default_factory=set)
    keep: bool = False  # whether what lives when the block ends is left to end by itself

    def look(self) -> list[psutil.Process]:
        """Return the command and all its descendants that live now, and remember them."""
        try:
            parent = psutil.Process(self.process.pid)
            found = [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
        self.seen.update(found)
        return found

    def family(self, kind: str) -> list[psutil.Process]:
        """Return the processes of one kind: parent, worker, child, or tree for all."""
        found = self.look()
        return [each for each in found if kind in ("tree", _kind_of(each, self.process.pid))]

    def wait(self) -> int:
        """Return the exit status, and remember every process on the way."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            self.look()
            if time.monotonic() > deadline:
                self.end()
                raise AssertionError(f"did not end: {self.text()}")
            time.sleep(0.2)
        return self.process.returncode

    def gone(self, *, seconds: float = 30.0) -> list[psutil.Process]:
        """Wait for every process that was seen to end; return those that still live."""
        deadline = time.monotonic() + seconds
        self.process.poll()  # so that no zombie stays
        while alive := [each for each in self.seen if _lives(each)]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return alive

    def end(self) -> None:
        """Kill whatever is left."""
        for each in [*self.look(), *self.seen]:
            _kill(each)
        self.process.wait()

    def text(self) -> str:
        """Return what it printed, errors too."""
        return self.output.read_text(errors="replace")


def start(arguments: Sequence[str | Path], *, log: Path, **variables: str | Path) -> Run:
    """Start ``python -m ...`` in a session of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default",
                   **{name: str(value) for name, value in variables.items()}}  # fmt: skip
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, arguments)], cwd=ROOT, env=environment,
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    return Run(process, log)


@contextmanager
def started(arguments: Sequence[str | Path], **options: str | Path) -> Iterator[Run]:
    """Give a run that does not outlive the block."""
    run = start(arguments, **options)  # type: ignore[arg-type]
    try:
        yield run
    finally:
        if not run.keep:
            run.end()


def kill(run: Run, kind: str, rng: random.Random) -> list[int]:
    """Kill -9 one process of a kind, or the whole tree in any order; return which."""
    found = run.family(kind)
    rng.shuffle(found)
    chosen = found if kind == "tree" else found[:1]
    for each in chosen:
        _kill(each)
    return [each.pid for each in chosen]


def _kind_of(process: psutil.Process, parent: int) -> str:
    """Return what a process of a run is, by its command line."""
    if process.pid == parent:
        return "parent"
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return "other"
    if "brainnet.workflows.engine.child" in command:
        return "child"
    return "worker" if "spawn_main" in command else "other"


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):  # which it also says of a number that another has now
        process.send_signal(signal.SIGKILL)


def contents(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file but the logs, hidden ones too, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] != "logs"
    }


def rests(folder: Path) -> list[str]:
    """Return the files that only a run at work may have: temporary ones and locks."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if (path.name.startswith(".") and path.name != ".bidsignore")
        or path.suffix in (".tmp", ".lock")
    )


def stamps(paths: Sequence[Path]) -> dict[str, tuple[int, int, int]]:
    """Return what changes when a file is written anew: inode, time and size."""
    return {
        path.name: (found.st_ino, found.st_mtime_ns, found.st_size)
        for path in paths
        for found in [path.stat()]
    }


def lines(path: Path) -> list[str]:
    """Return the lines of a file, none where there is no file."""
    return path.read_text().splitlines() if path.exists() else []


def wait_for(condition: Callable[[], object], run: Run) -> None:
    """Wait until a function returns true, or the run has ended."""
    deadline, turn = time.monotonic() + PATIENCE, 0
    while not condition() and run.process.poll() is None:
        if turn % 40 == 0:  # not oftener: it goes through all processes of the machine
            run.look()
        assert time.monotonic() < deadline, run.text()
        time.sleep(0.005)
        turn += 1
