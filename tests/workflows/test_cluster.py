"""Workers that somebody else started, and what jobs of a cluster are asked for."""

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from brainnet import io
from brainnet.workflows.engine import cluster, slurm
from brainnet.workflows.engine.child import Limits
from brainnet.workflows.engine.resources import Resources
from brainnet.workflows.engine.slurm import SlurmConfig, load_config

ROOT = Path(__file__).resolve().parents[2]
WORK = "tests.reliability.slurm.work"
N_FILES = 22  # of one participant: outputs and their sidecars
GOOD = 'memory = "8GB"\nwalltime = "12:00:00"\njobs = 20\n'


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.toml"
    path.write_text(GOOD)
    return path


# ---- a scheduler that runs already


def _start(*arguments: str, **variables: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    for each in [*family, process]:
        try:
            each.kill()
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    process.wait()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a scheduler listens that was started by hand, with two workers."""
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    scheduler = _start("distributed.cli.dask_scheduler", "--host=127.0.0.1", "--port=0",
                       "--dashboard-address=127.0.0.1:0", f"--scheduler-file={file}")  # fmt: skip
    workers = None
    try:
        _wait(lambda: file.exists() and _address(file))
        workers = _start("distributed.cli.dask_worker", f"--scheduler-file={file}",
                         "--nthreads=1", "--nworkers=2", "--memory-limit=2GB",
                         "--dashboard-address=127.0.0.1:0",
                         f"--local-directory={folder}")  # fmt: skip
        yield _address(file)
    finally:
        for each in (workers, scheduler):
            if each is not None:
                _end(each)


def _address(file: Path) -> str:
    try:
        return str(json.loads(file.read_text())["address"])
    except ValueError:
        return ""


def _wait(condition: object) -> None:
    deadline = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _contents(out_dir: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out_dir)): path.read_bytes()
        for path in sorted(out_dir.rglob("*"))
        if path.is_file() and "logs" not in path.parts
    }


def test_a_scheduler_that_runs_gives_the_bytes_of_a_local_run_to_each_of_two_runs(
    tmp_path: Path, address: str
) -> None:
    """The same labels in two datasets at once: neither may be taken for the other."""
    few = ("--pause", "0.02", "--participant-label", "01", "02", "03")
    runs = [_start(WORK, str(tmp_path / name), "--scheduler", address, *few) for name in "ab"]
    local = _start(WORK, str(tmp_path / "local"), *few)
    assert [each.wait(60) for each in [*runs, local]] == [0, 0, 0]
    expected = _contents(tmp_path / "local")
    assert len(expected) == 1 + 3 * N_FILES
    assert _contents(tmp_path / "a") == _contents(tmp_path / "b") == expected


def test_an_interrupted_run_leaves_the_workers_free_and_the_next_goes_on(
    tmp_path: Path, address: str
) -> None:
    few = ("--pause", "0.6", "--participant-label", "01", "02")
    command = [WORK, str(tmp_path / "out"), "--scheduler", address, *few]
    run = _start(*command)
    _wait(lambda: len(list(tmp_path.glob("out/sub-*/anat/*_desc-centred_timeseries.json"))) >= 2)
    run.send_signal(signal.SIGINT)
    assert run.wait(60) == -signal.SIGINT
    time.sleep(1.5)  # at most the step in hand goes on
    stopped = _contents(tmp_path / "out")
    time.sleep(1.0)
    assert _contents(tmp_path / "out") == stopped
    assert len(stopped) < 1 + 2 * N_FILES
    assert _start(*command).wait(60) == 0
    assert len(_contents(tmp_path / "out")) == 1 + 2 * N_FILES


def test_no_scheduler_is_said_quickly_and_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 0.5)
    for address in ("tcp://127.0.0.1:1", "nonsense://here", "tcp://no.such.host.invalid:8786"):
        with (
            pytest.raises(ValueError, match=r"does not answer .*tcp://host:port"),
            cluster.connect(Resources(scheduler=address), 1),
        ):
            pass


class FakeClient:
    """What a client says of a scheduler and its workers."""

    def __init__(self, *, theirs: dict[str, str], n_threads: int = 1, brainnet: object = None):
        here = {"python": "3.11.7.final.0", "distributed": "1", "cloudpickle": "1", "msgpack": "1"}
        self._versions = {
            "client": {"packages": here},
            "scheduler": {"packages": here},
            "workers": {"tcp://w:1": {"packages": here | theirs}},
        }
        self._n_threads, self._brainnet = n_threads, brainnet

    def get_versions(self) -> dict[str, object]:
        return self._versions

    def scheduler_info(self, n_workers: int) -> dict[str, object]:
        return {"workers": {"tcp://w:1": {"nthreads": self._n_threads}}}

    def run(self, function: object) -> dict[str, object]:
        if isinstance(self._brainnet, Exception):
            raise self._brainnet
        return {"tcp://w:1": self._brainnet or cluster._version()}


def _look(client: FakeClient) -> None:
    cluster._check_versions(client, "the scheduler")
    cluster._check_workers(client, "the scheduler")


@pytest.mark.parametrize(
    "client, words",
    [
        (FakeClient(theirs={"python": "3.12.1.final.0"}), "python 3.12 there and 3.11 here"),
        (FakeClient(theirs={"distributed": "2"}), "distributed 2 there and 1 here"),
        (FakeClient(theirs={"msgpack": ""}), "msgpack absent there"),
        (FakeClient(theirs={}, n_threads=8), "8 threads.*--nthreads 1"),
        (FakeClient(theirs={}, brainnet=ModuleNotFoundError("brainnet")), "cannot import brainnet"),
        (FakeClient(theirs={}, brainnet="0.0.1"), "has brainnet 0.0.1"),
    ],
)
def test_workers_that_do_not_fit_are_refused(client: FakeClient, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _look(client)


def test_workers_that_differ_in_a_patch_of_python_fit() -> None:
    _look(FakeClient(theirs={"python": "3.11.2.final.0"}))


def test_steps_are_held_to_what_their_worker_has(tmp_path: Path) -> None:
    def worker(limit: float | None) -> object:
        memory = SimpleNamespace(memory_limit=limit)
        return SimpleNamespace(memory_manager=memory, local_directory=str(tmp_path))

    asked = Limits(math.inf, 5, 2)
    own = cluster.worker_limits(worker(8e9), asked)
    assert (own.memory, own.minutes, own.n_threads) == (pytest.approx(7.7), 5, 2)
    assert own.scratch == tmp_path
    assert cluster.worker_limits(worker(0.4e9), asked).memory == pytest.approx(0.2)
    assert 0 < cluster.worker_limits(worker(None), asked).memory < math.inf
    local = Limits(3.0, scratch=tmp_path / "work")
    assert cluster.worker_limits(worker(None), local) == local


def test_a_cancelled_participant_stops_at_its_next_step() -> None:
    tasks = {"a": SimpleNamespace(state="executing"), "b": SimpleNamespace(state="cancelled")}
    worker = SimpleNamespace(state=SimpleNamespace(tasks=tasks))
    cluster.check_wanted(worker, "a")
    for key in ("b", "c"):
        with pytest.raises(cluster.Unwanted):
            cluster.check_wanted(worker, key)


# ---- jobs of a cluster


def test_a_configuration_is_read_whole(config_file: Path) -> None:
    config_file.write_text(
        GOOD + 'queue = "long"\njob-extra = ["--qos=x"]\nenv = ["module load y"]\n'
    )
    assert load_config(config_file) == SlurmConfig(
        memory="8GB", walltime="12:00:00", jobs=20, queue="long",
        job_extra=("--qos=x",), env=("module load y",),
    )  # fmt: skip


@pytest.mark.parametrize(
    "text, words",
    [
        (GOOD + 'qeue = "long"\n', "qeue.*Did you mean queue"),
        (GOOD + "cores = 0\n", "cores must be a whole number of 1"),
        (GOOD.replace("20", "2.5"), "jobs must be a whole number"),
        (GOOD.replace("20", "true"), "jobs must be a whole number"),
        (GOOD.replace('"8GB"', "8"), "memory must be a text"),
        (GOOD.replace("8GB", "8"), "memory must be a number and a unit"),
        (GOOD.replace("12:00:00", "half a day"), "walltime must be a time of SLURM"),
        (GOOD + 'env = "module load x"\n', "env must be a list"),
        (GOOD + 'queue = "a\\nrm -rf /"\n', "queue must be a text of one line"),
        ('memory = "8GB"\njobs = 2\n', 'no walltime.*walltime = "12:00:00"'),
        ("memory = \n", "TOML"),
    ],
)
def test_a_wrong_configuration_names_the_key_and_the_rule(
    config_file: Path, text: str, words: str
) -> None:
    config_file.write_text(text)
    with pytest.raises(io.DataError, match=rf"cluster\.toml.*{words}"):
        load_config(config_file)


@pytest.mark.parametrize("walltime", ["30", "30:00", "12:00:00", "1-12", "2-00:30", "7-00:00:00"])
def test_walltimes_are_those_that_slurm_takes(config_file: Path, walltime: str) -> None:
    config_file.write_text(GOOD.replace("12:00:00", walltime))
    assert load_config(config_file).walltime == walltime


def test_a_cluster_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="--cluster-config FILE"),
        cluster.connect(Resources(cluster="slurm"), 1, tmp_path),
    ):
        pass


@pytest.mark.parametrize("package", ["dask_jobqueue", "cryptography"])
def test_absent_packages_are_named_with_the_remedy(
    config_file: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package == "dask_jobqueue":
        monkeypatch.setitem(sys.modules, "cryptography", SimpleNamespace())
    monkeypatch.setitem(sys.modules, package, None)
    resources = Resources(cluster="slurm", cluster_config=config_file)
    with (
        pytest.raises(ValueError, match=rf"{package}.*pip install 'brainnet\[cluster\]'"),
        cluster.connect(resources, 1, config_file.parent),
    ):
        pass


def test_a_machine_without_sbatch_is_named(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dask_jobqueue")
    pytest.importorskip("cryptography")
    monkeypatch.setenv("PATH", "")
    before = signal.getsignal(signal.SIGINT)
    resources = Resources(cluster="slurm", cluster_config=config_file)
    with (
        pytest.raises(ValueError, match="sbatch, and there is none here"),
        cluster.connect(resources, 1, config_file.parent),
    ):
        pass
    assert signal.getsignal(signal.SIGINT) is before  # dask_jobqueue takes Ctrl-C for itself


@pytest.mark.filterwarnings("default")
def test_a_job_asks_for_what_the_configuration_says(config_file: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    pytest.importorskip("cryptography")
    config_file.write_text(
        GOOD + 'queue = "long"\naccount = "lab"\njob_extra = ["--qos=x"]\nenv = ["module load y"]\n'
        'python = "/shared/my env/bin/python"\n'
    )
    keys = config_file.parent / "keys"
    keys.mkdir()
    wanted = load_config(config_file)
    with slurm._cluster(wanted, Resources(n_threads=4), config_file.parent, keys) as made:
        script = made.job_script()
    lines = script.splitlines()
    options = ["-p long", "-A lab", "-t 12:00:00", "--mem=8G", "--cpus-per-task=4", "--qos=x"]
    assert {"module load y", *(f"#SBATCH {each}" for each in options)} <= {*lines}
    command = lines[-1]
    assert command.startswith("exec '/shared/my env/bin/python' -m distributed.cli.dask_worker")
    assert "--nthreads 1 --memory-limit 7.45GiB" in command  # 8 GB
    assert "--death-timeout 60" in command
    assert "--preload brainnet.workflows.engine.worker" in command
    assert "--tls-key" in command  # nobody else on the network may send work
    assert {path.suffix for path in keys.iterdir()} == {".pem"}
    with pytest.raises(ValueError, match="cores = 2"):
        slurm._cluster(SlurmConfig("8GB", "1", 1, cores=2), Resources(n_threads=4), keys, keys)


def test_jobs_that_ended_without_a_worker_are_known() -> None:
    workers = {name: SimpleNamespace(job_id=job) for name, job in
               {"works": "1", "waits": "2", "died": "3", "refused": None}.items()}  # fmt: skip
    assert slurm._ended(workers, {"works"}, {"1", "2"}) == {"died": "3", "refused": None}
    assert slurm._ended(workers, {"works"}, None) == {}  # squeue did not answer
    assert slurm._ended(workers, set(workers), set()) == {}


class FakeCluster:
    """Three jobs: one with a worker, one that waits, one that has ended."""

    def __init__(self) -> None:
        jobs = {"works": "1", "waits": "2", "died": "3"}
        self.workers = {name: SimpleNamespace(job_id=job) for name, job in jobs.items()}
        self.observed = {"works"}
        self.submitted = 0
        self.scheduler_comm = self

    async def adaptive_target(self, target_duration: float) -> int:
        return 3

    async def _correct_state(self) -> None:
        self.submitted += 1


def test_a_job_that_ended_without_a_worker_is_submitted_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dask alone would wait for it for ever."""
    asked = []
    monkeypatch.setattr(slurm, "_jobs", lambda: asked.append("squeue") or {"1", "2"})
    made = FakeCluster()
    adaptive = slurm._adaptive()(made, interval=0)
    assert asyncio.run(adaptive.target()) == 3
    assert {*made.workers} == {"works", "waits"}
    assert made.submitted == 1
    asyncio.run(adaptive.target())
    assert asked == ["squeue"]  # not at every look at the work


def test_a_dashboard_needs_what_draws_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda _name: None)
    with (
        pytest.raises(ValueError, match=r"brainnet\[dashboard\]"),
        cluster.connect(Resources(n_procs=1, dashboard=True), 1),
    ):
        pass
