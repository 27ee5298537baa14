"""Of many participants some are broken, each in a way of its own: the others do not notice."""

import json
import random
import re
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.reliability import processes, toy
from tests.reliability.processes import contents, lines, rests, started

TOY = "tests.reliability.toy"
#: participant to what goes wrong in one of its steps, and what is said of it
DEEDS = {
    "03/draw": ("raise", "ZeroDivisionError: by zero"),
    "04/centre": ("refuse", "scan.nii.gz: is broken. Copy it again."),
    "05/scale": ("unpicklable", "Local"),
    "06/relate": ("segfault", "SIGSEGV"),
    "07/measure": ("abort", "SIGABRT"),
    "08/page": ("leave", "exit status 3"),
    "09/draw": ("spin", "not done after 0.06 min"),
    "10/centre": ("sleep", "not done after 0.06 min"),
    "11/scale": ("grow", "more memory than the 0.6 GB"),
    "12/relate": ("allocate", "more memory than the 0.6 GB"),
    "13/measure": ("fork and die", "SIGKILL"),
    "14/page": ("exit", "exit status 1"),
}


def test_every_way_for_a_step_to_go_wrong(tmp_path: Path) -> None:
    labels = [f"{number:02d}" for number in range(1, 15)]
    broken = {step.split("/")[0]: (step, says) for step, (_, says) in DEEDS.items()}
    deeds = json.dumps({step: deed for step, (deed, _) in DEEDS.items()})
    out, journal = tmp_path / "out", tmp_path / "journal"
    common = [TOY, out, "--participant-label", *labels, "--nprocs", "2"]
    limits = ["--mem", "0.6", "--step-timeout", "0.06"]
    with started([*common, *limits], log=tmp_path / "printed", TOY_JOURNAL=journal,
                 TOY_DEEDS=deeds) as run:  # fmt: skip
        assert run.wait() == 1
        assert run.gone() == []
    printed = lines(tmp_path / "printed")
    for label in labels:
        failures = [line for line in printed if line.startswith(f"sub-{label}: FAILED: ")]
        mark = out / "logs" / f"sub-{label}.failed"
        assert len(failures) == mark.exists() == (label in broken), failures
        if label in broken:
            step, says = broken[label]
            assert says in failures[0]
            assert says in mark.read_text()
            assert str(tmp_path) not in failures[0]
            before = list(toy.STEPS)[: list(toy.STEPS).index(step.split("/")[1])]
        else:
            before = list(toy.STEPS)
        folder = out / f"sub-{label}" / "anat"
        expected = {path.name for step in before for path in files_of(out, label, step)}
        assert ({path.name for path in folder.iterdir()} if folder.exists() else set()) == expected
    assert (out / "group.tsv").exists()
    assert rests(out) == []
    mended(common, out, journal, labels, tmp_path)


def files_of(out: Path, label: str, step: str) -> list[Path]:
    """Return the outputs of a step and their sidecars."""
    paths = list(toy.outputs_of(out, label, step).values())
    return paths + [path.with_name(path.name.split(".")[0] + ".json") for path in paths]


def mended(common: list, out: Path, journal: Path, labels: list[str], tmp_path: Path) -> None:
    """Check that the same command, with nothing broken any more, does the rest and only that."""
    journal.unlink()
    missing = [f"{label}/{step}" for label in labels for step in toy.STEPS
               if not all(path.exists() for path in files_of(out, label, step))]  # fmt: skip
    with started(common, log=tmp_path / "again", TOY_JOURNAL=journal) as run:
        assert run.wait() == 0, run.text()
    assert sorted(lines(journal)) == sorted([*missing, "all/group"])
    with started([TOY, tmp_path / "whole", *common[2:]], log=tmp_path / "whole.out") as run:
        assert run.wait() == 0
    assert contents(out) == contents(tmp_path / "whole")
    assert not list((out / "logs").glob("*.failed"))


def spoil(bids: Path) -> dict[str, tuple[str, ...]]:
    """Add participants to the demo's, each a copy of one and broken; return what must be said."""
    rng = random.Random(0)
    said: dict[str, tuple[str, ...]] = {}
    table = bids / "participants.tsv"
    row = table.read_text().splitlines()[1].removeprefix("sub-01")

    def add(label: str, *words: str) -> Path:
        said[label] = words
        with table.open("a") as stream:
            stream.write(f"sub-{label}{row}\n")
        source = bids / "sub-01" / "anat"
        for path in source.iterdir():
            target = bids / f"sub-{label}" / "anat" / path.name.replace("sub-01", f"sub-{label}")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        return next((bids / f"sub-{label}" / "anat").glob("*_T1w.nii.gz"))

    path = add("05", "sub-05_T1w.nii.gz", "the file is cut")
    path.write_bytes(path.read_bytes()[: rng.randrange(2000, path.stat().st_size // 2)])
    path = add("06", "sub-06_T1w.nii.gz", "no voxel is finite")
    resave(path, lambda data: np.full_like(data, np.nan))
    path = add("07", "has no T1w image")
    (path.parent.parent / "func").mkdir()
    shutil.copy(next((bids / "sub-01" / "func").glob("*_bold.nii.gz")),
                path.parent.parent / "func" / "sub-07_task-rest_bold.nii.gz")  # fmt: skip
    shutil.rmtree(path.parent)
    path = add("08", "sub-08_T1w.json", "not valid JSON|JSON_INVALID")
    path.with_name("sub-08_T1w.json").write_text('{"EchoTime": ')
    path = add("09", "no T1w|sub-09_T1w")
    (path.parent.parent / "func").mkdir()
    path.rename(path.parent.parent / "func" / path.name)
    path = add("10", "sub-10_T1w.nii.gz", "the file is empty|EMPTY_FILE")
    path.write_bytes(b"")
    path = add("11", "sub-11_T1w.nii.gz", "every voxel is 0")
    resave(path, np.zeros_like)
    path = add("12", "sub-12_T1w.nii.gz", "datalad get|SYMLINK_BROKEN")
    path.unlink()
    path.symlink_to("../../.git/annex/objects/gone")
    path = add("13", "sub-13_T1w.nii.gz", "gzip stream is damaged")
    path.write_bytes(path.read_bytes()[:10] + b"<html>502 Bad Gateway</html>")
    return said


def resave(path: Path, change: object) -> None:
    """Change an image's values, by the tool that any user has."""
    img = nibabel.load(path)
    data = change(np.asarray(img.dataobj, dtype=np.float32))  # type: ignore[operator]
    nibabel.save(nibabel.Nifti1Image(data, img.affine), path)


@pytest.mark.slow
def test_broken_scans_in_the_real_pipelines(demo_dir: Path, tmp_path: Path) -> None:
    bids, out = tmp_path / "bids", tmp_path / "out"
    shutil.copytree(demo_dir / "bids", bids, symlinks=True)
    shutil.copytree(demo_dir / "derivatives", out)
    said = spoil(bids)
    common = ["brainnet.cli", bids, out]
    with started([*common, "participant", "--sloppy", "--nprocs", "2"],
                 log=tmp_path / "printed") as run:  # fmt: skip
        assert run.wait() == 1, run.text()
        printed = run.text()
    for label, words in said.items():
        failures = [line for line in printed.splitlines() if f"sub-{label}: FAILED" in line]
        assert failures, f"sub-{label}: {printed}"
        page = (out / f"sub-{label}.html").read_text()
        for word in words:  # said by the gate, or by the validator of BIDS where it is installed
            assert re.search(word, " ".join(failures)), failures
            assert re.search(word, page), f"{word} is not in sub-{label}.html"
    for label in ("01", "02", "03", "04"):
        assert f"sub-{label}: FAILED" not in printed
        assert not (out / "logs" / f"sub-{label}.failed").exists()
    with started([*common, "group", "--n-splits", "2"], log=tmp_path / "group") as run:
        assert run.wait() == 0, run.text()
    page = next(path for path in out.glob("*.html") if "group" in path.name).read_text()
    assert all(f"sub-{label}" in page or label in page for label in said)
    assert rests(out) == []
    assert processes.lines(tmp_path / "group")
