"""What a run may use: processes, threads, memory, and whose machines."""

import os
from dataclasses import dataclass
from pathlib import Path

#: what a participant may need, GB: what decides how many run at a time where nothing is said
PARTICIPANT_MEMORY = 4.0
#: share of the free memory that a run takes where nothing is said
MEMORY_SHARE = 0.9


@dataclass(frozen=True)
class Resources:
    """What a run may use; results depend on none of it but, in their last digits, on ``n_threads``.

    Attributes
    ----------
    n_procs : int
        Participants at a time, each in a worker process; 0 runs in this process, one after
        another, without time-outs or limits of memory.
    n_threads : int
        Threads of each step. Sums are taken in another order with another number: an image
        registers within some hundredths of a millimetre of where it did.
    memory : float, optional
        GB that all participants on this machine may use together; default what is free.
    step_minutes : float, optional
        Time-out of each step; default each step's own (`needs`).
    scheduler : str, optional
        Address of a Dask scheduler that runs already (``tcp://host:8786``).
    cluster : {"slurm"}, optional
        Start workers as jobs of a cluster.
    cluster_config : pathlib.Path, optional
        TOML file with the cluster's queue, cores, memory, walltime and number of jobs.
    dashboard : bool
        Serve Dask's dashboard, and say where.
    work_dir : pathlib.Path, optional
        Folder for temporary files; default the system's.
    stop_on_first_crash : bool
        Start no further participant once one has failed.

    Raises
    ------
    ValueError
        A number out of range, or ``scheduler`` together with ``cluster``.
    """

    n_procs: int = 0
    n_threads: int = 1
    memory: float | None = None
    step_minutes: float | None = None
    scheduler: str | None = None
    cluster: str | None = None
    cluster_config: Path | None = None
    dashboard: bool = False
    work_dir: Path | None = None
    stop_on_first_crash: bool = False

    def __post_init__(self) -> None:
        """Refuse what no machine has."""
        if self.n_procs < 0:
            raise ValueError(f"n_procs (--nprocs) must be 0 or more; got {self.n_procs}.")
        if self.n_threads < 1:
            raise ValueError(f"n_threads (--omp-nthreads) must be 1 or more; got {self.n_threads}.")
        for name, value in (("memory (--mem)", self.memory),
                            ("step_minutes (--step-timeout)", self.step_minutes)):  # fmt: skip
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive; got {value:g}.")
        if self.scheduler and self.cluster:
            raise ValueError("scheduler and cluster must not both be given: a scheduler that runs "
                             "already has its workers. Leave one out.")  # fmt: skip

    def workers(self, n_participants: int) -> int:
        """Return how many workers of this machine a run takes: no more than fit its memory."""
        fit = self.n_procs
        if self.memory is not None:
            fit = min(fit, max(1, int(self.memory // PARTICIPANT_MEMORY)))
        return max(1, min(fit, n_participants))

    def step_memory(self, n_workers: int) -> float:
        """Return the GB of memory at which a step of this machine is ended."""
        return (self.memory or default_memory()) / n_workers


def default_procs(n_threads: int = 1) -> int:
    """Return how many participants fit: by processors that this process may use, and memory."""
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity else os.cpu_count() or 1
    fit = int(_free_memory() // PARTICIPANT_MEMORY)
    return max(1, min(processors // n_threads, fit))


def default_memory() -> float:
    """Return the GB that a run takes of this machine where nothing is said."""
    return MEMORY_SHARE * _free_memory()


def _free_memory() -> float:
    """Return the memory that is free here, GB: of the machine, and of the container or job."""
    import psutil
    from distributed.system import MEMORY_LIMIT

    return min(float(psutil.virtual_memory().available), float(MEMORY_LIMIT)) / 1e9
