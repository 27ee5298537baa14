"""SLURM on this machine: one node over loopback, in a folder of its own, ended with the block.

``python -m tests.reliability.slurm.node`` installs Debian's packages where they are absent and
this is root, and says whether jobs run.
"""

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from string import Template

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def absent() -> list[str]:
    """Return the programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]


def install() -> None:
    """Install what is absent, where this is root on a machine with apt-get."""
    if not absent() or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    packages = ["--no-install-recommends", "slurm-wlm", "munge"]
    for command in (["update", "-qq"], ["install", "-qq", "-y", *packages]):
        subprocess.run(["apt-get", *command], env=environment, check=True, capture_output=True)


@contextmanager
def node(*, cpus: int = 4, memory: int = 6000) -> Iterator[dict[str, str]]:
    """Start munged, slurmctld and slurmd; give the environment in which sbatch finds them."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    folder.chmod(0o755)  # munge insists that its socket can be reached
    environment = {**os.environ, "PATH": _PATH, "SLURM_CONF": str(folder / "slurm.conf")}
    _configure(folder, cpus, memory)
    running = []
    try:
        for command in _daemons(folder):
            with (folder / f"{command[0]}.out").open("wb") as log:
                running.append(
                    subprocess.Popen(
                        command,
                        env=environment,
                        stdout=log,
                        stderr=log,
                        stdin=subprocess.DEVNULL,
                        preexec_fn=_die_with_us,
                    )
                )
            time.sleep(0.5)
        _await_idle(environment, folder)
        yield environment
    finally:
        call(["scancel", "--full", "--user", _user()], environment, check=False)
        for process in reversed(running):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def call(command: Sequence[str], environment: dict[str, str], *, check: bool = True) -> str:
    """Return what a command of SLURM prints."""
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout.strip()


def jobs(environment: dict[str, str]) -> dict[str, str]:
    """Return the jobs that wait, run or end: number to state."""
    rows = call(["squeue", "--noheader", "--format=%A %T"], environment).splitlines()
    return dict(row.split() for row in rows)


def _configure(folder: Path, cpus: int, memory: int) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(1024))
    template = Template(Path(__file__).with_name("slurm.conf").read_text())
    host = socket.gethostname().split(".")[0]
    ports = {"controller_port": _free_port(), "node_port": _free_port()}
    filled = template.substitute(
        ports, host=host, user=_user(), folder=folder, cpus=cpus, memory=memory
    )
    (folder / "slurm.conf").write_text(filled)


def _daemons(folder: Path) -> list[list[str]]:
    """Return the commands, in the order in which they need one another; none leaves us."""
    files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid",
             "seed-file": "munge.seed", "log-file": "munged.log"}  # fmt: skip
    options = [f"--{name}={folder / value}" for name, value in files.items()]
    return [
        ["munged", "--foreground", "--force", *options],
        ["slurmctld", "-D", "-f", str(folder / "slurm.conf")],
        ["slurmd", "-D", "-f", str(folder / "slurm.conf")],
    ]


def _await_idle(environment: dict[str, str], folder: Path) -> None:
    for _ in range(60):
        if call(["sinfo", "--noheader", "--format=%T"], environment, check=False) == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text()[-2000:] for path in sorted(folder.glob("*.log")))
    raise RuntimeError(f"SLURM did not start on this machine:\n{logs}")


def _die_with_us() -> None:
    """End this process when the one that started it ends, however that happens."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _user() -> str:
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    install()
    if absent():
        sys.exit(f"not installed: {', '.join(absent())}")
    with node() as found:
        call(["sbatch", "--wait", "--output=/dev/null", "--wrap=true"], found)
        print("SLURM runs jobs on this machine")
