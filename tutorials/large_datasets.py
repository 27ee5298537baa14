# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Thousands of participants
#
# One command runs ten participants on a laptop or ten thousand on a cluster. This notebook shows
# by example what it does with the machine, what happens when it is killed, what a failure looks
# like, and how the same command moves to a cluster. The two people here are simulated, so that
# it all takes a minute or two.

# %%
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from brainnet.simulate.dataset import simulate_dataset

folder = Path(tempfile.mkdtemp())
demo = os.environ.get("BRAINNET_DEMO")
if demo:  # what `brainnet demo` simulated
    source = Path(demo) / "bids"
else:
    source = simulate_dataset(folder / "simulated", stages=["CN", "AD"], seed=0)
for label in ("sub-01", "sub-02"):
    shutil.copytree(source / label / "anat", folder / "bids" / label / "anat")
for name in ("dataset_description.json", "README.md"):
    shutil.copy(source / name, folder / "bids")

PROGRAM = [sys.executable, "-m", "brainnet.cli"]


def brainnet(arguments: str) -> int:
    """Run a command line, and show it and what it prints."""
    print(f"$ brainnet {arguments}")
    done = subprocess.run(
        [*PROGRAM, *arguments.split()], cwd=folder, text=True, capture_output=True
    )
    print(done.stdout + done.stderr)
    return done.returncode


# %% [markdown]
# ## Before: what would run
#
# `--dry-run` lists every step that would run, with an estimate of time, memory and disk, and
# writes nothing. `--anat-only` leaves BOLD and PET out, `--sloppy` registers on a template of
# 2 mm, and `--measures none` spares the measures: here, to be quick.

# %%
QUICK = "--anat-only --sloppy --measures none"
status = brainnet(f"bids out participant {QUICK} --nprocs 2 --dry-run")
assert not (folder / "out").exists()

# %% [markdown]
# ## How much of the machine
#
# | flag | meaning |
# |---|---|
# | `--nprocs 8` | processors in all |
# | `--omp-nthreads 2` | processors that one participant may use: 8 / 2 = 4 run at a time |
# | `--mem 32` | GB in all; a step that takes more than its share is ended, and only it |
# | `--step-timeout 60` | minutes after which a step is taken to hang, and ended |
# | `-w /scratch` | where temporary files go; results never pass through it |
#
# Results are the same to the byte whatever `--nprocs` and `--mem`. Another `--omp-nthreads` adds
# numbers up in another order, which moves edges in the fourth decimal: keep one value through a
# study. Each participant runs in a process of its own, and each of its steps is watched from
# outside: one that crashes, hangs or eats the memory fails by name, and the other participants do
# not notice.
#
# ## Killed
#
# A run is started for one participant, and killed without warning (`kill -9`) after its first
# steps.

# %%
command = f"bids out participant {QUICK} --nprocs 1 --participant-label 01"
print(f"$ brainnet {command}")
process = subprocess.Popen([*PROGRAM, *command.split()], cwd=folder, stderr=subprocess.DEVNULL)


def finished() -> list[str]:
    """Return the outputs that have their sidecar: those of the steps that are done."""
    return sorted(path.name for path in folder.glob("out/sub-*/**/*.json"))


while len(finished()) < 4 and process.poll() is None:
    time.sleep(0.1)
process.kill()
process.wait()
time.sleep(2)  # its workers see that it has gone, and end too
before = finished()
print("killed after:", *before, sep="\n  ")

# %% [markdown]
# Each output appears under its name only when it is whole, and its sidecar, which holds the
# record of how it was made (hashes of the inputs, parameters, code, versions, seed), comes last.
# So there is nothing to clean up and nothing to unlock: **the same command goes on where the run
# was stopped.**

# %%
status = brainnet(command)
assert status == 0

# %% [markdown]
# ## What a run leaves behind
#
# `out/logs` has a log for each participant and one file of JSON lines a run: what was asked, then
# a line for each participant with the time and memory of every step. A run that was killed has
# no last line. With pandas:


# %%
def read_runs() -> pd.DataFrame:
    """Return one row a step of every run that is on record."""
    rows = []
    for path in sorted((folder / "out" / "logs").glob("run-*.jsonl"), key=os.path.getmtime):
        lines = pd.read_json(path, lines=True, dtype={"participant": str})
        if "participant" not in lines:  # killed before anybody was done
            continue
        done = lines.dropna(subset=["participant"])
        for participant, steps in zip(done["participant"], done["steps"], strict=True):
            rows.extend({"run": path.stem, "participant": participant} | step for step in steps)
    return pd.DataFrame(rows)


steps = read_runs()
steps[["step", "skipped", "seconds", "memory"]]

# %% [markdown]
# `skipped` steps are those that were done before the kill: their record and their bytes were
# checked, and nothing was computed again. What took longest of the others:

# %%
assert steps["skipped"].sum() >= 3
steps.groupby("step")[["seconds", "memory"]].max().nlargest(3, "seconds")

# %% [markdown]
# ## A participant that fails
#
# The second participant's image loses its second half, as when a copy was cut short.

# %%
image = next((folder / "bids" / "sub-02").glob("anat/*_T1w.nii.gz"))
whole = image.read_bytes()
image.write_bytes(whole[: len(whole) // 2])
status = brainnet(f"bids out participant {QUICK} --nprocs 2")
print("exit status", status)
assert status == 1

# %% [markdown]
# The first participant was done and is left alone; the second one fails with the file, what is
# wrong with it and what to do. The exit status is 1, and a mark stays until the participant goes
# through, from which the group level names whom it leaves out:

# %%
print((folder / "out" / "logs" / "sub-02.failed").read_text())

# %% [markdown]
# Copy the image again and give the same command: only that participant is computed. A dry run
# says so.

# %%
image.write_bytes(whole)
status = brainnet(f"bids out participant {QUICK} --nprocs 2 --dry-run")

# %% [markdown]
# ## The same options next time
#
# `--config-file` takes flags from a file, by their names; what is typed wins. Every run leaves
# its own in `out/logs/config.toml`.

# %%
(folder / "study.toml").write_text(
    """
anat-only = true
sloppy = true
measures = ["none"]
nprocs = 2
participant-label = ["01"]
"""
)
status = brainnet("bids out participant --config-file study.toml --dry-run")

# %% [markdown]
# ## On a cluster, way one: one job a participant
#
# Nothing but the command itself is needed. Any number of jobs may write into the same folder of
# results: what two of them share is written whole and locked. With SLURM, 1,200 participants,
# 50 at a time:
#
# ```bash
# cd bids && ls -d sub-* > ../labels.txt && cd ..
# sbatch --array=1-1200%50 --cpus-per-task=2 --mem=8G --time=06:00:00 --wrap '
#   label=$(sed -n ${SLURM_ARRAY_TASK_ID}p labels.txt)
#   brainnet bids out participant --participant-label $label \
#     --skip-bids-validation --nprocs 2 --omp-nthreads 2 --mem 8'
# brainnet bids out participant --dry-run        # afterwards: what is left to do
# brainnet bids out participant --reports-only   # pages again, and the methods text of everybody
# ```
#
# Validate the dataset once before, not in every job. Submit the same array again and only what is
# missing is computed.
#
# ## Way two: brainnet submits the jobs
#
# `pip install 'brainnet[cluster]'`, and one file that says what a job may take:
#
# ```toml
# # cluster.toml
# memory = "8GB"            # of one job, which runs one participant at a time
# walltime = "12:00:00"
# jobs = 50                 # at most so many at a time
# queue = "long"            # partition; optional, as all below
# account = "mylab"
# cores = 2                 # --omp-nthreads where it is not given
# interface = "ib0"         # network by which the nodes reach this machine
# job_extra = ["--qos=normal"]
# env = ["module load python/3.11"]
# python = "/shared/venv/bin/python"   # where it is not this one
# ```
#
# ```bash
# brainnet bids out participant --omp-nthreads 2 --cluster slurm --cluster-config cluster.toml
# ```
#
# This command stays for as long as the run takes: start it in `tmux`, or as a small job of its
# own. It submits as many jobs as there is work for, ends them as it runs out, and shows the
# progress of all. A job that is preempted, cancelled or at the end of its time is replaced, and
# its participant goes on there with the step that was cut; after the fourth time the participant
# fails, and the others go on. If the command itself is killed its jobs end within seconds, and
# the same command goes on. The Python environment, the dataset and the results must be on a disk
# that the nodes share, and that disk must support locks between nodes (`flock`: NFS does, Lustre
# where it is mounted with that option). What jobs print is in `out/logs/slurm`.
#
# ## Way three: a Dask scheduler that runs already
#
# ```bash
# dask scheduler --scheduler-file /shared/scheduler.json                   # somewhere
# dask worker --scheduler-file /shared/scheduler.json --nthreads 1 --nworkers 8   # on each machine
# brainnet bids out participant --scheduler tcp://192.168.1.10:8786
# ```
#
# Workers must have one thread each and the same versions as this command; `--memory-limit`
# of a worker is what one participant may take. Anybody who reaches the scheduler's port can run
# programs as you: keep to networks that you trust, or set up Dask's TLS. (Jobs of `--cluster` are
# encrypted with a key of each run, and need no setting up.)

# %%
shutil.rmtree(folder)
