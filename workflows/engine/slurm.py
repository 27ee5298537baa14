"""Workers as jobs of SLURM: what the configuration says, and what becomes of lost jobs.

One job is one worker, and a worker runs one participant at a time. Jobs are submitted as there is
work for them and ended as there is none. The scheduler runs in the process that submits; traffic
is encrypted with a key of this run, so that nobody else on the cluster's network can join it.
"""

import getpass
import math
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from brainnet import io
from brainnet.workflows import config
from brainnet.workflows.engine.resources import Resources
from brainnet.workflows.engine.scratch import clean, temporary_folder

#: s between looks for jobs that ended before or without their worker saying so
LOOK = 20.0
#: s that a worker waits for the submitter's scheduler before its job ends
DEATH_TIMEOUT = 60
#: jobs that may end before any worker has reported, until the run is given up
STILLBORN = 3
_WALLTIME = re.compile(r"(\d+|\d+:\d\d(:\d\d)?|\d+-\d+(:\d\d){0,2})")
_MEMORY = re.compile(r"\d+(\.\d+)?\s*([kMGT]i?B?)", re.IGNORECASE)


@dataclass(frozen=True)
class SlurmConfig:
    """What each job asks for, and how many jobs there may be.

    Attributes
    ----------
    memory : str
        Of one job, such as ``"8GB"``: what one participant may take, the worker included.
    walltime : str
        Of one job, as SLURM writes it (``"12:00:00"``, ``"1-00:00:00"``). A participant whose
        job ends there goes on in another one, where it stopped.
    jobs : int
        At most so many at a time.
    queue, account : str, optional
        Partition and account; default the cluster's own.
    cores : int, optional
        Processors of one job; default as many as a step has threads.
    job_extra : list of str
        Further options of sbatch, such as ``"--qos=long"``.
    env : list of str
        Lines of shell that each job runs first, such as ``"module load python"``.
    python : str, optional
        Python on the nodes; default this one, which must then lie on a shared disk.
    interface : str, optional
        Network that the nodes reach this machine by, such as ``"ib0"``.
    """

    memory: str
    walltime: str
    jobs: int
    queue: str | None = None
    account: str | None = None
    cores: int | None = None
    job_extra: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    python: str | None = None
    interface: str | None = None


def load_config(path: Path | str) -> SlurmConfig:
    """Return the configuration in a TOML file.

    Parameters
    ----------
    path : path
        Keys as the attributes of `SlurmConfig`; ``memory``, ``walltime`` and ``jobs`` are needed.

    Returns
    -------
    SlurmConfig
        Checked.

    Raises
    ------
    DataError
        Not TOML, a key that is unknown or missing, or a value of the wrong kind.
    """
    path = Path(path)
    known = {each.name: each for each in fields(SlurmConfig)}
    options = config.load(path, {name.replace("_", "-") for name in known})
    given = {name.replace("-", "_"): value for name, value in options.items()}
    for name, each in known.items():
        if each.default is MISSING and name not in given:
            raise io.DataError(path, f"has no {name}", f"Add a line such as {_EXAMPLE[name]}")
    for name, value in given.items():
        if problem := _problem(name, value):
            raise io.DataError(path, f"{name} {problem}; got {value!r}", "Correct that line")
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return SlurmConfig(**(given | lists))


_EXAMPLE = {"memory": 'memory = "8GB"', "walltime": 'walltime = "12:00:00"', "jobs": "jobs = 20"}


def _problem(key: str, value: object) -> str:
    """Say which rule a value breaks, if one."""
    if key in ("jobs", "cores"):
        good = isinstance(value, int) and not isinstance(value, bool) and value > 0
        return "" if good else "must be a whole number of 1 or more"
    if key in ("job_extra", "env"):
        good = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return "" if good else "must be a list of texts"
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        return "must be a text of one line"
    if key == "memory" and not _MEMORY.fullmatch(value.strip()):
        return 'must be a number and a unit, such as "8GB"'
    if key == "walltime" and not _WALLTIME.fullmatch(value.strip()):
        return 'must be a time of SLURM, such as "12:00:00" or "1-00:00:00"'
    return ""


@contextmanager
def slurm(resources: Resources, n_participants: int, log_dir: Path) -> Iterator[Any]:
    """Give a Dask cluster whose workers are jobs of SLURM; end all of them afterwards.

    Parameters
    ----------
    resources : Resources
        With ``cluster_config``.
    n_participants : int
        No more jobs than this are submitted.
    log_dir : pathlib.Path
        On a disk that the nodes share; what jobs print goes to ``log_dir/slurm``.

    Yields
    ------
    dask_jobqueue.SLURMCluster
        With one worker at least.

    Raises
    ------
    ValueError
        No configuration, dask-jobqueue or cryptography not installed, no sbatch here.
    DataError
        A configuration that is wrong or that SLURM refuses, or jobs that end before they work.
    """
    if resources.cluster_config is None:
        raise ValueError("--cluster slurm needs --cluster-config FILE: a TOML file with memory, "
                         "walltime and jobs. Write one.")  # fmt: skip
    wanted = load_config(resources.cluster_config)
    _check_installed()
    log_dir = (log_dir / "slurm").absolute()
    log_dir.mkdir(parents=True, exist_ok=True)
    clean(log_dir)
    with temporary_folder(log_dir) as keys, _cluster(wanted, resources, log_dir, keys) as cluster:
        _ask(cluster.job_script(), resources.cluster_config)
        most = max(1, min(wanted.jobs, n_participants))
        cluster.scale(jobs=most)
        _await_first(cluster, resources.cluster_config, log_dir)
        # every participant counts as work for one worker of its own, however quick it is
        cluster.adapt(_adaptive(), minimum=1, maximum=most, target_duration="1ms")
        yield cluster


def _check_installed() -> None:
    """Refuse to begin without what submits jobs."""
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        import cryptography  # noqa: F401
        import dask_jobqueue  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"--cluster slurm needs {error.name}, which is not installed. Run: "
            "pip install 'brainnet[cluster]'"
        ) from error
    finally:  # importing dask_jobqueue has Ctrl-C exit with status 0
        signal.signal(signal.SIGINT, interrupt)
    if shutil.which("sbatch") is None:
        raise ValueError("--cluster slurm needs the command sbatch, and there is none here. Run "
                         "this on a machine from which jobs are submitted.")  # fmt: skip


def _cluster(wanted: SlurmConfig, resources: Resources, log_dir: Path, keys: Path) -> Any:
    """Return a cluster without jobs."""
    from dask_jobqueue import SLURMCluster

    cores = wanted.cores or resources.n_threads
    if cores < resources.n_threads:
        raise ValueError(
            f"--omp-nthreads {resources.n_threads} is more than the cores = {cores} of a job. Ask "
            "for more cores in --cluster-config, or for fewer threads."
        )
    return SLURMCluster(
        queue=wanted.queue,
        account=wanted.account,
        walltime=wanted.walltime,
        memory=wanted.memory,
        cores=1,  # of Dask: one participant at a time
        processes=1,
        job_cpu=cores,
        job_name="brainnet",
        job_extra_directives=list(wanted.job_extra),
        job_script_prologue=list(wanted.env),
        # the job is the worker itself, so that signals reach it and the cluster can end it
        python=f"exec {shlex.quote(wanted.python or sys.executable)}",
        interface=wanted.interface,
        nanny=False,
        death_timeout=DEATH_TIMEOUT,
        log_directory=str(log_dir),
        worker_extra_args=["--no-dashboard", "--preload", "brainnet.workflows.engine.worker"],
        security=_security(keys),
        silence_logs="critical",
        scheduler_options=_scheduler_options(resources),
    )


def _security(keys: Path) -> Any:
    """Return a key of this run, in files that this user's jobs can read and nobody else."""
    from distributed import Security

    made = Security.temporary().get_tls_config_for_role("worker")
    files = {name: keys / f"{name}.pem" for name in ("ca_file", "cert", "key")}
    for name, path in files.items():
        io.save_text(made[name], path)
    roles = {
        f"tls_{role}_{name}": str(files[name])
        for role in ("client", "scheduler", "worker")
        for name in ("cert", "key")
    }
    return Security(require_encryption=True, tls_ca_file=str(files["ca_file"]), **roles)


def _scheduler_options(resources: Resources) -> dict[str, Any]:
    from brainnet.workflows.engine.cluster import DASHBOARD, NO_DASHBOARD

    if resources.dashboard:
        return {"dashboard_address": DASHBOARD}
    return {"dashboard": False, "dashboard_address": NO_DASHBOARD}


def _ask(script: str, path: Path) -> None:
    """Ask SLURM whether it would take such a job, and say why where it would not."""
    asked = subprocess.run(
        ["sbatch", "--test-only"], input=script, capture_output=True, text=True, check=False
    )
    if asked.returncode:
        lines = [line for line in asked.stderr.splitlines() if line.strip()]
        why = (lines or ["no reason given"])[0].removeprefix("sbatch: error: ")
        raise io.DataError(path, f"SLURM takes no such job: {why}", "Correct the line in question")


def _await_first(cluster: Any, path: Path, log_dir: Path) -> None:
    """Wait until one worker has reported; give up where job after job ends before it does."""
    ended: set[str] = set()
    looked = time.monotonic()
    while not cluster.scheduler_info["workers"]:
        time.sleep(0.2)
        if time.monotonic() - looked < min(LOOK, 5.0):
            continue
        looked = time.monotonic()
        lost = _ended(dict(cluster.workers), set(), _jobs())
        ended |= {job_id for job_id in lost.values() if job_id}
        if len(ended) >= STILLBORN:
            raise io.DataError(
                path,
                f"{len(ended)} jobs ended before they began to work{_last_words(log_dir, ended)}",
                f"Look at {log_dir.parent.name}/{log_dir.name}; the nodes must reach this machine "
                "and the same Python (python, env, interface)",
            )
        cluster.sync(_forget, cluster, lost)


def _last_words(log_dir: Path, jobs: set[str]) -> str:
    """Return the last line that one of the jobs printed."""
    for job in sorted(jobs):
        for path in log_dir.glob(f"*-{job}.err"):
            with suppress(io.DataError, IndexError):  # empty, or not text
                return f": {io.load_text(path).strip().splitlines()[-1]}"
    return ""


def _jobs() -> set[str] | None:
    """Return the numbers of this user's jobs that wait or run; None if SLURM does not say."""
    command = ["squeue", "--noheader", "--format=%A", f"--user={getpass.getuser()}"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (subprocess.SubprocessError, OSError):
        return None
    return set(asked.stdout.split())


def _ended(
    workers: Mapping[Any, Any], working: set[Any], jobs: set[str] | None
) -> dict[Any, str | None]:
    """Return workers that never came or have gone, and whose job has ended: name to job."""
    if jobs is None:
        return {}
    gone = {name: job for name, job in workers.items() if name not in working}
    return {name: job.job_id for name, job in gone.items() if job.job_id not in jobs}


async def _forget(cluster: Any, lost: Mapping[Any, str | None]) -> None:
    """Have the cluster submit other jobs for these; left alone it would wait for them."""
    for name in lost:
        cluster.workers.pop(name, None)
    if lost:
        await cluster._correct_state()


def _adaptive() -> type:
    """Return Dask's adaptive scaling, which sees to lost jobs as well."""
    import asyncio

    from distributed.deploy.adaptive import Adaptive

    class JobAdaptive(Adaptive):
        """Adaptive scaling that knows what became of jobs without a worker."""

        looked = -math.inf

        async def target(self) -> int:
            """Return how many workers there should be."""
            if time.monotonic() - self.looked > LOOK:
                self.looked = time.monotonic()
                workers, working = dict(self.cluster.workers), set(self.cluster.observed)
                if set(workers) - working:
                    jobs = await asyncio.to_thread(_jobs)
                    lost = _ended(workers, working | self.cluster.observed, jobs)
                    await _forget(self.cluster, lost)
            return int(await super().target())

    return JobAdaptive
