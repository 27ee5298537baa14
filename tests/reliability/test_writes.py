"""Writing: whole or not at all, whatever the disk does, and nothing left of killed writers."""

import errno
import fcntl
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from brainnet import io
from brainnet.io import DataError

#: What the processes below write, each kind by its own function: T1w, BOLD, PET, CT, labels, text.
WRITERS = """
    import os, sys
    import nibabel, numpy, pandas
    from brainnet import io

    rng = numpy.random.default_rng(0)

    def image(data):
        return nibabel.Nifti1Image(data, numpy.eye(4), dtype=data.dtype)

    def write(name):
        shape, kind = {"T1w": ((40, 40, 40), "f4"), "bold": ((20, 20, 20, 9), "i2"),
                       "pet": ((20, 20, 20, 5), "f4"), "ct": ((40, 40, 40), "i2"),
                       "dseg": ((90, 90, 90), "u1")}.get(name.split(".")[0][-4:].split("_")[-1],
                                                         ((1, 1, 1), "i2"))
        if name.endswith(("nii", "nii.gz")):
            return io.save_img(image((rng.random(shape) * 200).astype(kind)), name)
        if name.endswith("json"):
            return io.save_json({"a": rng.random(20_000)}, name)
        if name.endswith("tsv"):
            return io.save_table(pandas.DataFrame({"x": rng.random(20_000)}), name)
        return io.save_text("text" * 100_000, name)

    def attempt(names):
        for name in names:
            try:
                print("written", write(name))
            except io.DataError as error:
                print(error)
"""
NAMES = ["sub_T1w.nii.gz", "sub_T1w.nii", "sub_bold.nii.gz", "sub_pet.nii.gz", "sub_ct.nii.gz",
         "sub_dseg.nii", "sub_bold.json", "participants.tsv", "page.html"]  # fmt: skip


def python(code, *arguments):
    """Return the command that runs `WRITERS` and more code."""
    whole = textwrap.dedent(WRITERS) + textwrap.dedent(code)
    return [sys.executable, "-c", whole, *map(str, arguments)]


def run(command):
    """Return the lines that a process prints, once it has ended well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# ---------------------------------------------------------------- what the disk does


@pytest.mark.parametrize("limit", [0, 50_000])
def test_a_file_beyond_the_size_allowed(tmp_path, limit):
    for name in NAMES[::2]:
        (tmp_path / name).write_bytes(b"as it was")
    code = f"""
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        attempt(sys.argv[1:])
    """
    lines = run(python(code, *[tmp_path / name for name in NAMES]))
    for name, line in zip(NAMES, lines, strict=True):
        assert name in line
        assert "could not be written (File too large)" in line
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert left == dict.fromkeys(NAMES[::2], b"as it was")


def in_small_disk(folder, size, script):
    """Return the lines of a shell script in which `folder` is a file system of its own."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare: a small file system cannot be made")
    mount = f"mount -t tmpfs -o size={size} tmpfs {folder}"
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*command, mount], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here: a small file system cannot be made")
    return run([*command, f"set -e; {mount}; cd {folder}; {script}"])


def shell(command):
    """Return a command as one line of a shell script."""
    return " ".join("'" + part.replace("'", "'\\''") + "'" for part in command)


def test_a_full_disk(tmp_path):
    script = (
        f"for name in {' '.join(NAMES[::2])}; do printf old > $name; done; "
        f"{shell(python('attempt(sys.argv[1:])', *NAMES))}; "
        f"for name in $(ls -A); do echo $name $(cat $name); done"
    )
    lines = in_small_disk(tmp_path, "48k", script)
    for name, line in zip(NAMES, lines, strict=False):
        assert name in line
        assert "could not be written (No space left on device)" in line
    assert lines[len(NAMES) :] == sorted(f"{name} old" for name in NAMES[::2])


def test_a_disk_that_fills_up_takes_the_files_that_fit(tmp_path):
    names = [f"{number}.html" for number in range(6)]  # 400 kB each
    script = f"{shell(python('attempt(sys.argv[1:])', *names))}; ls -A; cat *.html | wc -c"
    lines = in_small_disk(tmp_path, "1500k", script)
    assert [line.startswith("written") for line in lines[:6]] == [True] * 3 + [False] * 3
    assert lines[6:] == [*names[:3], str(3 * 400_000)]


def test_a_read_only_disk(tmp_path):
    writers = shell(python("attempt(sys.argv[1:])", "a.html", "folder/sub_ct.nii.gz", "new/b.json"))
    script = f"mkdir folder; mount -o remount,ro {tmp_path}; {writers}; ls -AR"
    lines = in_small_disk(tmp_path, "96k", script)
    assert all("could not be written (Read-only file system)" in line for line in lines[:3])
    assert [line for line in lines[3:] if line] == [".:", "folder", "./folder:"]


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EIO, errno.ENOSPC, errno.ESTALE])
@pytest.mark.parametrize("call", ["os.fsync", "os.open", "pathlib.Path.replace"])
def test_an_error_at_any_stage_is_typed(tmp_path, monkeypatch, call, number):
    path = tmp_path / "a.json"
    path.write_text("as it was")

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(call, fail)
    with pytest.raises(DataError, match="could not be written") as caught:
        io.save_json({"a": 1}, path)
    monkeypatch.undo()
    assert os.strerror(number) in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "as it was"


def test_a_short_write_is_found_out(tmp_path, monkeypatch):
    real = os.fsync

    def cut(handle):
        os.ftruncate(handle, os.fstat(handle).st_size - 1)
        real(handle)

    monkeypatch.setattr(os, "fsync", cut)
    with pytest.raises(DataError, match="differs"):
        io.save_text("content", tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- what stands in the way


def test_a_link_is_replaced_and_its_target_stays(tmp_path):
    target = tmp_path / "annexed"
    target.write_text("the original")
    for name, goal in (("a.txt", target), ("dangling.txt", tmp_path / "no"), ("l.txt", "l.txt")):
        (tmp_path / name).symlink_to(goal)
        path = io.save_text("new", tmp_path / name)
        assert not path.is_symlink()
        assert path.read_text() == "new"
    assert target.read_text() == "the original"
    assert not (tmp_path / "no").exists()


def test_a_second_name_of_the_old_file_keeps_the_old_content(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    os.link(tmp_path / "a.txt", tmp_path / "b.txt")
    io.save_text("new", tmp_path / "a.txt")
    assert (tmp_path / "b.txt").read_text() == "old"


def test_what_is_no_file_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(DataError, match="could not be written"):
            io.save_text("x", tmp_path / name)
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "pipe"]
    with pytest.raises(DataError, match="name"):
        io.save_text("x", tmp_path / "a\0b")
    with pytest.raises(DataError, match="too long"):
        io.save_text("x", tmp_path / ("a" * 300))


def test_text_that_could_not_be_read_again_is_not_written(tmp_path):
    for text in ("a\0b", "\ud800"):
        with pytest.raises(DataError):
            io.save_text(text, tmp_path / "a.txt")
    with pytest.raises(DataError, match="NUL"):
        io.save_table(pd.DataFrame({"x": ["a\0b"]}), tmp_path / "a.tsv")
    labels = nib.Nifti1Image(np.array([[[614454277.0, 614454278.0]]]), np.eye(4))
    with pytest.raises(DataError, match="float32 would have to round"):
        io.save_img(labels, tmp_path / "a.nii")
    long = nib.Nifti2Image(np.arange(40_000.0).reshape(-1, 1, 1), np.eye(4))
    with pytest.raises(DataError, match="too large for an image"):
        io.save_img(long, tmp_path / "a.nii")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- what killed writers leave

PAUSE = """
    def pause(handle):
        print("writing", flush=True)
        sys.stdin.readline()

    os.fsync = pause
    write(sys.argv[1])
"""


def paused_writer(path):
    """Return a process that stands still while its temporary file is there."""
    command = python(PAUSE, path)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    return process


def test_leftovers_of_a_killed_writer_go_and_a_living_one_keeps_its_file(tmp_path):
    living, killed = paused_writer(tmp_path / "a.html"), paused_writer(tmp_path / "b.html")
    try:
        killed.kill()
        killed.wait()
        assert len(list(tmp_path.glob(".*.tmp"))) == 2
        assert io.remove_leftovers(tmp_path) == 1
        assert [each.name[:7] for each in tmp_path.iterdir()] == [".a.html"]
        living.communicate("\n", timeout=60)
        assert living.returncode == 0
    finally:
        living.kill()
        living.wait()
        killed.stdin.close()
        killed.stdout.close()
    assert (tmp_path / "a.html").read_text() == "text" * 100_000
    assert [each.name for each in tmp_path.iterdir()] == ["a.html"]


def test_only_the_gates_own_leftovers_are_removed(tmp_path):
    own = [".a.nii.gz.12-0123abcd.tmp", ".sub-01_T1w.nii.gz.lock", ".a\n.1-00000000.tmp"]
    others = ["a.nii.gz", "a.tmp", ".a.tmp", ".a.12-0123abcd", "a.lock", ".bidsignore", ".lock",
              ".a.12-0123ABCD.tmp"]  # fmt: skip
    for name in own + others:
        (tmp_path / name).touch()
    (tmp_path / ".other.lock").write_text("4711")  # not empty: not ours
    (tmp_path / ".link.lock").symlink_to("a.nii.gz")
    (tmp_path / ".folder.lock").mkdir()
    os.mkfifo(tmp_path / ".pipe.lock")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / own[0]).touch()
    with (tmp_path / ".held.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert io.remove_leftovers(tmp_path) == len(own)
    kept = {*others, ".other.lock", ".link.lock", ".folder.lock", ".pipe.lock", ".held.lock",
            "below"}  # fmt: skip
    assert {each.name for each in tmp_path.iterdir()} == kept
    assert (tmp_path / "below" / own[0]).exists()
    assert io.remove_leftovers(tmp_path) == 1
    assert io.remove_leftovers(tmp_path / "nowhere") == 0
    with pytest.raises(DataError, match="cannot be listed"):
        io.remove_leftovers(tmp_path / "a.nii.gz")


def write_often(folder, number):
    """Write many files, some under a name that others write too."""
    for i in range(60):
        io.save_json({"writer": number, "i": i, "x": [number] * 500}, folder / f"{number}-{i}.json")
        io.save_json({"writer": number, "x": [number] * 500}, folder / "shared.json")


def count_often(folder, _):
    """Add one to a number in a file, many times, under the lock of a step."""
    from brainnet.workflows.engine.step import _lock

    for _ in range(60):
        with _lock(folder / "count.txt"):
            path = folder / "count.txt"
            number = int(path.read_text())
            path.write_text(str(number + 1))


@pytest.mark.parametrize("work", [write_often, count_often])
def test_removing_leftovers_disturbs_neither_writers_nor_locks(tmp_path, work):
    (tmp_path / "count.txt").write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(tmp_path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        io.remove_leftovers(tmp_path)
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    if work is count_often:
        assert (tmp_path / "count.txt").read_text() == "240"
        return
    names = {f"{number}-{i}.json" for number in range(4) for i in range(60)}
    assert {each.name for each in tmp_path.iterdir()} == {*names, "shared.json", "count.txt"}
    for each in tmp_path.glob("*.json"):
        content = json.loads(each.read_text())
        assert content["x"] == [content["writer"]] * 500


def test_a_file_system_without_locks_is_written_to_all_the_same(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    assert io.save_text("a", tmp_path / "a.txt").read_text() == "a"
    (tmp_path / ".a.txt.1-00000000.tmp").touch()
    assert io.remove_leftovers(tmp_path) == 0  # nobody can tell whether it is held
    assert Path(tmp_path / ".a.txt.1-00000000.tmp").exists()
