"""A full disk, an output that cannot be written, and many runs at once: nothing lost or half."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability import toy
from tests.reliability.processes import ROOT, contents, lines, rests, stamps, start, started

TOY = "tests.reliability.toy"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What an uninterrupted run leaves."""
    folder = tmp_path_factory.mktemp("whole")
    with started([TOY, folder / "out"], log=folder / "log") as run:
        assert run.wait() == 0
    return contents(folder / "out")


def whole(out: Path, expected: dict[str, str]) -> None:
    """Raise unless what is there is right, all of it whole, and nothing else."""
    found = contents(out)
    assert {name: digest for name, digest in found.items() if expected.get(name) != digest} == {}
    assert rests(out) == []
    for path in (out / "logs").glob("*.jsonl"):
        for line in lines(path):
            json.loads(line)  # whole lines only


IN_A_SMALL_DISK = """
mkdir -p {disk} && mount -t tmpfs -o size={size}k tmpfs {disk} || exit 77
cd {root}
full=$({python} -m {toy} {disk}/out --nprocs {n_procs} 2>{log}; echo $?)
cp -r {disk}/out {copy}
cat /dev/zero > {disk}/fill 2>/dev/null
{python} -m {toy} {disk}/out --nprocs 0 2>{log}.filled; filled=$?
cp -r {disk}/out {copy}.filled; rm {disk}/fill
mount -o remount,size=64m {disk} || exit 77
{python} -m {toy} {disk}/out --nprocs {n_procs} 2>{log}.2; again=$?
cp -r {disk}/out {copy}.2
umount {disk}
echo $full $filled $again
"""


@pytest.mark.parametrize("n_procs, size", [(0, 100), (2, 120)])
def test_disk_full(expected: dict[str, str], tmp_path: Path, n_procs: int, size: int) -> None:
    script = IN_A_SMALL_DISK.format(
        disk=tmp_path / "disk", size=size, root=ROOT, python=sys.executable, toy=TOY,
        n_procs=n_procs, log=tmp_path / "log", copy=tmp_path / "copy",
    )  # fmt: skip
    try:
        done = subprocess.run(
            ["unshare", *(["-m"] if os.geteuid() == 0 else ["-Urm"]), "sh", "-c", script],
            capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1",
            "TOY_JOURNAL": str(tmp_path / "journal")}, timeout=120,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("a small disk needs unshare")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"a small disk needs the right to mount: {done.stderr.strip()}")
    assert done.stdout.split() == ["1", "2", "0"], done.stdout + done.stderr
    assert contents(tmp_path / "copy.filled") == contents(tmp_path / "copy")
    assert "dataset_description.json: could not be written" in (tmp_path / "log.filled").read_text()
    told = (tmp_path / "log").read_text()
    assert told.count("No space left on device") >= 2
    assert "Free or unlock space there, then run again" in told
    whole(tmp_path / "copy", expected)
    assert 10 < len(contents(tmp_path / "copy")) < len(expected)  # it filled up on the way
    assert contents(tmp_path / "copy.2") == expected
    whole(tmp_path / "copy.2", expected)
    starts = lines(tmp_path / "journal")
    finished = {name for name in contents(tmp_path / "copy") if name.endswith(".json")}
    for label in toy.LABELS:
        for step, (endings, _) in toy.STEPS.items():
            stems = [f"sub-{label}/anat/sub-{label}_{end.split('.')[0]}.json" for end in endings]
            if finished.issuperset(stems):
                assert starts.count(f"{label}/{step}") == 1


def test_a_file_too_large_for_the_limits_of_the_user(tmp_path: Path) -> None:
    """A quota or ulimit refuses a write in the middle: as on a full disk, but for anyone."""
    script = (f"ulimit -f 1; exec {sys.executable} -m {TOY} {tmp_path / 'out'} "
              "--participant-label 01")  # fmt: skip
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "sub-01_desc-drawn_timeseries.tsv" in done.stderr
    assert rests(tmp_path / "out") == []
    assert set(contents(tmp_path / "out")) == {"dataset_description.json"}


CUT = """
import resource, sys
from pathlib import Path
from brainnet.workflows.engine import Outcome
from brainnet.workflows.engine.manifest import Manifest
manifest = Manifest(Path(sys.argv[1]), {"asked": "much"})
resource.setrlimit(resource.RLIMIT_FSIZE, (400, resource.RLIM_INFINITY))
manifest.add(Outcome("01", ["long " * 200]))  # the disk takes the first part of it
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
manifest.add(Outcome("02", ["\\udcff"]))
manifest.close()
"""


def test_a_manifest_has_whole_lines_only(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", CUT, tmp_path], check=True, cwd=ROOT)
    (path,) = tmp_path.iterdir()
    first, second, last = map(json.loads, lines(path))
    assert first["asked"] == "much"
    assert second["participant"] == "02"
    assert last["failed"] == 2


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """Give the output of a finished run, which nobody may write to, not even root."""
    with started([TOY, tmp_path / "out", "--participant-label", "01"], log=tmp_path / "log") as run:
        assert run.wait() == 0
    folders = [tmp_path / "out", *(path for path in (tmp_path / "out").rglob("*") if path.is_dir())]
    if os.geteuid() == 0:
        immutable = subprocess.run(["chattr", "+i", *folders], capture_output=True)
        if immutable.returncode:
            pytest.skip("root writes anywhere, and this file system knows no immutable folders")
    for folder in folders:
        if os.geteuid():
            folder.chmod(0o555)
    yield tmp_path / "out"
    for folder in folders:
        if os.geteuid() == 0:
            subprocess.run(["chattr", "-i", folder], check=True)
        else:
            folder.chmod(0o755)


@pytest.mark.parametrize("n_procs", [0, 1])
def test_output_that_cannot_be_written(read_only: Path, tmp_path: Path, n_procs: int) -> None:
    before = contents(read_only), stamps([path for path in read_only.rglob("*") if path.is_file()])
    arguments = [TOY, read_only, "--nprocs", str(n_procs)]
    with started(arguments, log=tmp_path / "told") as run:
        assert run.wait() in (1, 2)
        told = run.text()
    assert "could not be written" in told or "cannot be written to" in told
    assert "Traceback" not in told
    after = contents(read_only), stamps([path for path in read_only.rglob("*") if path.is_file()])
    assert after == before


def test_eight_single_participant_runs_at_once(expected: dict[str, str], tmp_path: Path) -> None:
    """As the jobs of an array: four participants, each of them twice."""
    out, journal = tmp_path / "out", tmp_path / "journal"
    runs = [
        start([TOY, out, "--participant-label", label], log=tmp_path / f"{label}-{number}",
              TOY_JOURNAL=journal)
        for number in range(2) for label in toy.LABELS
    ]  # fmt: skip
    try:
        assert [run.wait() for run in runs] == [0] * 8
    finally:
        for run in runs:
            run.end()
    steps = sorted(f"{label}/{step}" for label in toy.LABELS for step in toy.STEPS)
    assert sorted(lines(journal)) == steps  # each once, though each was asked for twice
    with started([TOY, out], log=tmp_path / "group", TOY_JOURNAL=journal) as run:
        assert run.wait() == 0
    assert lines(journal)[len(steps) :] == ["all/group"]
    assert contents(out) == expected
    whole(out, expected)


def test_two_runs_of_everybody_share_the_work(expected: dict[str, str], tmp_path: Path) -> None:
    out, journal = tmp_path / "out", tmp_path / "journal"
    runs = [
        start([TOY, out, "--nprocs", "2"], log=tmp_path / str(number), TOY_JOURNAL=journal)
        for number in range(2)
    ]
    try:
        assert [run.wait() for run in runs] == [0, 0]
        assert [run.gone() for run in runs] == [[], []]
    finally:
        for run in runs:
            run.end()
    assert len(lines(journal)) == len(set(lines(journal))) == len(toy.STEPS) * len(toy.LABELS) + 1
    assert contents(out) == expected
    whole(out, expected)


def test_temporary_files_go_to_the_work_folder_and_leave_it(tmp_path: Path) -> None:
    work = tmp_path / "work"
    arguments = [TOY, tmp_path / "out", "--participant-label", "01", "--nprocs", "1",
                 "--work-dir", work]  # fmt: skip
    with started(arguments, log=tmp_path / "log") as run:
        assert run.wait() == 0, run.text()
    assert [path.name for path in work.iterdir() if not path.name.startswith(".")] == []
    shutil.rmtree(work)
