"""A training that is killed and begun again, beside one that runs through."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from brainnet import io

_CALL = """
import sys
from brainnet.models.core import fit
from brainnet.workflows.train import command
fit.SAVE_EVERY = 0.0
sys.exit(command(sys.argv[1:]))
"""


def whole_and_killed(task: str, config: Path, folder: Path, n_epochs: int) -> tuple[Path, Path]:
    """Train twice, the second time killed after its first epoch; return both folders."""
    whole, killed = folder / "whole", folder / "killed"
    assert _start(task, config, whole).wait(timeout=300) == 0
    process = _start(task, config, killed)
    while not (killed / "training.tsv").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert len(io.load_table(killed / "training.tsv")) < n_epochs
    assert not (killed / "model").exists()
    assert _start(task, config, killed).wait(timeout=300) == 0
    return whole, killed


def _start(task: str, config: Path, out_dir: Path) -> subprocess.Popen[bytes]:
    arguments = [task, str(config), str(out_dir), "--accelerator=cpu", "--threads=1"]
    return subprocess.Popen([sys.executable, "-c", _CALL, *arguments], stderr=subprocess.DEVNULL)
