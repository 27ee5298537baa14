"""A step is skipped on an exact match of its record, and on nothing less."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path

import pytest

from brainnet import io
from brainnet.io import DataError
from brainnet.workflows.engine import step
from brainnet.workflows.engine.step import run_step, sidecar_path


class Copy:
    """Count its calls; write `factor` copies of the input to each output."""

    def __init__(self):
        self.calls = 0

    def __call__(self, inputs, outputs, *, factor=1, seed=None):
        self.calls += 1
        text = Path(inputs["text"]).read_text() * factor + ("" if seed is None else f"|{seed}")
        for path in outputs.values():
            io.save_text(text, path)
        return {"first": {"SamplingFrequency": 2}}


@pytest.fixture
def case(tmp_path):
    """Arguments of a step in a derivatives dataset beside a raw one."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    io.save_json({"Name": "r", "DatasetType": "raw"}, raw / "dataset_description.json")
    io.save_json({"Name": "d", "DatasetType": "derivative"}, out / "dataset_description.json")
    io.save_text("abc", raw / "sub-01" / "text.tsv")
    return {
        "inputs": {"text": raw / "sub-01" / "text.tsv"},
        "outputs": {"first": out / "sub-01" / "a.tsv", "second": out / "sub-01" / "b.tsv"},
        "parameters": {"factor": 2},
        "seed": 3,
    }


def test_sources_are_named_as_the_description_links_them(case, tmp_path):
    other = tmp_path / "other"
    io.save_json({"Name": "o", "DatasetType": "derivative"}, other / "dataset_description.json")
    io.save_text("abc", other / "sub-01" / "c.tsv")
    case["inputs"]["other"] = other / "sub-01" / "c.tsv"
    named = {"DatasetLinks": {"raw": "../raw", "web": "https://x.org/a", "derivative2": "../other"}}
    io.save_json({"Name": "d", **named}, tmp_path / "out" / "dataset_description.json")
    sidecar = io.load_json(sidecar_path(run_step("copy", Copy(), **case).outputs["first"]))
    assert set(sidecar["Sources"]) == {
        "bids:raw:sub-01/text.tsv", "bids:derivative2:sub-01/c.tsv"
    }  # fmt: skip


def test_the_first_run_writes_outputs_and_sidecars(case):
    copy = Copy()
    result = run_step("copy", copy, **case)
    assert not result.skipped
    assert result.outputs == case["outputs"]
    assert result.outputs["second"].read_text() == "abcabc|3"
    sidecar = io.load_json(sidecar_path(result.outputs["first"]))
    assert sidecar["Sources"] == ["bids:raw:sub-01/text.tsv"]
    assert sidecar["SamplingFrequency"] == 2
    assert "SamplingFrequency" not in io.load_json(sidecar_path(result.outputs["second"]))
    record = sidecar["Brainnet"]
    assert record["Step"] == "copy"
    assert record["Parameters"] == {"factor": 2}
    assert record["Inputs"]["text"]["sha256"] == io.sha256(case["inputs"]["text"])
    assert record["Output"] == io.sha256(result.outputs["first"])
    assert record["Seed"] == 3
    assert record["Warnings"] == []
    assert record["Code"] == step.code_digest(copy)
    assert not {"Duration", "Time", "Date"} & set(record)  # what differs from run to run
    for package in ("brainnet", "python", "numpy", "scipy", "nibabel", "nilearn", "antspyx",
                    "torch", "torch-geometric"):  # fmt: skip
        assert record["Versions"][package]
    folder = result.outputs["first"].parent
    assert sorted(p.name for p in folder.iterdir()) == ["a.json", "a.tsv", "b.json", "b.tsv"]


def test_an_exact_match_is_skipped(case):
    copy = Copy()
    first = run_step("copy", copy, **case)
    again = run_step("copy", copy, **case)
    assert (again.skipped, copy.calls) == (True, 1)
    assert again.outputs == first.outputs
    assert again.warnings == first.warnings


def changed_parameter(case, _):
    case["parameters"] = {"factor": 3}


def changed_seed(case, _):
    case["seed"] = 4


def no_seed(case, _):
    case["seed"] = None


def changed_input(case, _):
    case["inputs"]["text"].write_text("abd")


def renamed_input(case, _):
    case["inputs"] = {"text": case["inputs"]["text"].rename(case["inputs"]["text"].parent / "z")}


def changed_output(case, _):
    case["outputs"]["second"].write_text("abcabc|4")


def lost_output(case, _):
    case["outputs"]["first"].unlink()


def lost_sidecar(case, _):
    sidecar_path(case["outputs"]["second"]).unlink()


def cut_sidecar(case, _):
    path = sidecar_path(case["outputs"]["second"])
    path.write_bytes(path.read_bytes()[:-20])


def empty_record(case, _):
    sidecar_path(case["outputs"]["second"]).write_text('{"Brainnet": []}')


def one_output_more(case, _):
    case["outputs"]["third"] = case["outputs"]["first"].parent / "c.tsv"


def one_output_less(case, _):
    del case["outputs"]["second"]


def changed_code(_, monkeypatch):
    monkeypatch.setattr(step, "code_digest", lambda _function: "another")


def changed_version(_, monkeypatch):
    versions = {**step._versions(), "numpy": "0.0"}
    monkeypatch.setattr(step, "_versions", lambda: versions)


@pytest.mark.parametrize(
    "change",
    [
        changed_parameter, changed_seed, no_seed, changed_input, renamed_input, changed_output,
        lost_output, lost_sidecar, cut_sidecar, empty_record, one_output_more, one_output_less,
        changed_version, changed_code,
    ],
)  # fmt: skip
def test_any_difference_means_a_new_run(case, monkeypatch, change):
    copy = Copy()
    run_step("copy", copy, **case)
    change(case, monkeypatch)
    assert not run_step("copy", copy, **case).skipped
    assert copy.calls == 2
    assert run_step("copy", copy, **case).skipped


def test_another_step_name_means_a_new_run(case):
    copy = Copy()
    run_step("copy", copy, **case)
    assert not run_step("other", copy, **case).skipped


def test_touching_the_files_does_not(case):
    copy = Copy()
    run_step("copy", copy, **case)
    for path in (case["inputs"]["text"], *case["outputs"].values()):
        os.utime(path, (1, 1))
    assert run_step("copy", copy, **case).skipped


def test_tuples_and_nested_parameters_compare_equal_when_read_back(case):
    def function(inputs, outputs, *, shape, options, seed):
        assert shape == (1, 2)
        Copy()(inputs, outputs)

    case["parameters"] = {"shape": (1, 2), "options": {"b": [0.1, None], "a": True}}
    run_step("copy", function, **case)
    assert run_step("copy", function, **case).skipped


@pytest.mark.parametrize("parameters", [{"a": {1}}, {"a": float("nan")}, {"a": Path("x")}])
def test_parameters_that_cannot_be_recorded(case, parameters):
    with pytest.raises(ValueError, match="parameters of step 'copy'"):
        run_step("copy", Copy(), **{**case, "parameters": parameters})


def test_a_failing_function_leaves_no_record_and_runs_again(case):
    copy = Copy()

    def fails(inputs, outputs, **_):
        io.save_text("half", outputs["first"])
        raise RuntimeError("half way")

    run_step("copy", copy, **case)
    with pytest.raises(RuntimeError, match="half way") as caught:
        run_step("copy", fails, **{**case, "seed": 9})
    assert caught.value.__notes__ == ["in step 'copy'"]
    assert not sidecar_path(case["outputs"]["first"]).exists()
    assert not case["outputs"]["second"].exists()  # the old one would pass for the new one
    assert not run_step("copy", copy, **case).skipped
    assert copy.calls == 2
    assert case["outputs"]["first"].read_text() == "abcabc|3"


def test_an_output_that_was_not_written_is_an_error_even_if_an_old_one_was_there(case):
    run_step("copy", Copy(), **case)

    def forgets(inputs, outputs, **_):
        io.save_text("x", outputs["first"])

    with pytest.raises(DataError, match="without writing its output 'second'"):
        run_step("copy", forgets, **{**case, "seed": 5})
    assert not sidecar_path(case["outputs"]["first"]).exists()


def test_is_done_says_what_would_be_skipped_and_writes_nothing(case):
    copy, folder = Copy(), case["outputs"]["first"].parent
    assert step.is_done("copy", copy, **case) is None
    assert not folder.exists()
    first = run_step("copy", copy, **case)
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.iterdir()]}
    done = step.is_done("copy", copy, **case)
    assert (done.skipped, done.outputs, done.warnings) == (True, first.outputs, first.warnings)
    case["parameters"] = {"factor": 3}
    assert step.is_done("copy", copy, **case) is None
    assert {path: path.stat().st_mtime_ns for path in [folder, *folder.iterdir()]} == before
    assert copy.calls == 1


def test_discard_takes_what_is_half_done_and_leaves_what_is_whole(case):
    run_step("copy", Copy(), **case)
    step.discard(case["outputs"])
    assert step.is_done("copy", Copy(), **case)
    sidecar_path(case["outputs"]["second"]).unlink()
    rest = case["outputs"]["first"].with_name(".a.tsv.1-00000000.tmp")
    rest.touch()
    step.discard(case["outputs"])
    assert not list(rest.parent.iterdir())


def test_interrupting_a_step_leaves_nothing(case):
    def interrupted(inputs, outputs, **_):
        io.save_text("half", outputs["first"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step("copy", interrupted, **case)
    assert not list(case["outputs"]["first"].parent.iterdir())


def test_missing_input_is_an_error_that_names_it(case):
    case["inputs"]["text"].unlink()
    with pytest.raises(DataError, match="input 'text' of step 'copy' does not exist"):
        run_step("copy", Copy(), **case)
    case["inputs"]["text"].symlink_to("../.git/annex/objects/gone")
    with pytest.raises(DataError, match=r"link whose target is not there.*datalad get"):
        run_step("copy", Copy(), **case)


def test_arrangements_that_cannot_be_recorded(case):
    folder = case["outputs"]["first"].parent
    for outputs, words in (
        ({}, "at least one"),
        ({"a": folder / "a.json"}, "sidecar's name"),
        ({"a": folder / "a.tsv", "b": folder / "a.html"}, "more than their extension"),
        ({"a": case["inputs"]["text"]}, "must not be an input"),
    ):
        with pytest.raises(ValueError, match=words):
            run_step("copy", Copy(), **{**case, "outputs": outputs})
    assert case["inputs"]["text"].read_text() == "abc"

    def strange(inputs, outputs, **_):
        Copy()(inputs, outputs)
        return {"third": {"a": 1}}

    with pytest.raises(ValueError, match="third"):
        run_step("copy", strange, **case)


def test_user_warnings_are_kept_once_and_remembered(case, caplog):
    def warns(inputs, outputs, **_):
        for text in ("few volumes", "few volumes", "no slice timing"):
            warnings.warn(text, io.DataWarning, stacklevel=1)
        Copy()(inputs, outputs)

    first = run_step("copy", warns, **case)
    assert first.warnings == ["few volumes", "no slice timing"]
    assert caplog.text.count("copy: few volumes") == 1
    again = run_step("copy", warns, **case)
    assert again.skipped
    assert again.warnings == first.warnings


def test_other_warnings_pass_through(case):
    def warns(inputs, outputs, **_):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
        Copy()(inputs, outputs)
        warnings.warn("overflow", RuntimeWarning, stacklevel=1)

    with pytest.warns(RuntimeWarning, match="overflow"):
        result = run_step("copy", warns, **{**case, "seed": 8})
    assert result.warnings == []


def test_identical_runs_in_two_places_leave_identical_sidecars(case, tmp_path):
    run_step("copy", Copy(), **case)
    moved = tmp_path / "elsewhere" / "deep"
    moved.parent.mkdir()
    (tmp_path / "raw").rename(tmp_path / "elsewhere" / "raw2")
    io.save_json({"Name": "d"}, moved / "dataset_description.json")
    other = {
        **case,
        "inputs": {"text": tmp_path / "elsewhere" / "raw2" / "sub-01" / "text.tsv"},
        "outputs": {key: moved / "sub-01" / path.name for key, path in case["outputs"].items()},
    }
    run_step("copy", Copy(), **other)
    contents = []
    for outputs in (case["outputs"], other["outputs"]):
        contents.append([sidecar_path(path).read_bytes() for path in outputs.values()])
    assert contents[0] == contents[1]
    assert str(tmp_path).encode() not in b"".join(contents[0])


def test_inputs_from_the_same_dataset_or_from_none(case, tmp_path):
    run_step("copy", Copy(), **case)
    own = {**case, "inputs": {"text": case["outputs"]["first"]},
           "outputs": {"x": case["outputs"]["first"].parent / "x.tsv"}}  # fmt: skip
    run_step("next", lambda i, o, **_: io.save_text("x", o["x"]) and None, **own)
    assert io.load_json(sidecar_path(own["outputs"]["x"]))["Sources"] == ["bids::sub-01/a.tsv"]
    loose = io.save_text("abc", tmp_path / "loose.tsv")
    run_step("next", lambda i, o, **_: io.save_text("x", o["x"]) and None,
             **{**own, "inputs": {"text": loose}})  # fmt: skip
    assert io.load_json(sidecar_path(own["outputs"]["x"]))["Sources"] == ["loose.tsv"]


SCRIPT = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from brainnet import io
    from brainnet.workflows.engine.step import run_step

    folder, mode = Path(sys.argv[1]), sys.argv[2]

    def work(inputs, outputs):
        with (folder / "calls").open("a") as stream:
            stream.write("x")
        io.save_text("one", outputs["one"])
        if mode == "hang":
            (folder / ".two.tsv.0.tmp").write_text("half")
            (folder / "started").touch()
            time.sleep(60)
        time.sleep(0.3)
        io.save_text("two", outputs["two"])

    result = run_step("work", work, inputs={}, parameters={},
                      outputs={"one": folder / "one.tsv", "two": folder / "two.tsv"})
    print(result.skipped)
    """
)


def start(folder, mode):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), mode], stdout=subprocess.PIPE, text=True
    )


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_step_is_run_again_and_leaves_no_rest(tmp_path):
    process = start(tmp_path, "hang")
    wait_for(tmp_path / "started")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "one.tsv").exists()
    assert not (tmp_path / "one.json").exists()
    (tmp_path / "started").unlink()
    again = start(tmp_path, "work")
    assert again.communicate(timeout=60)[0] == "False\n"
    assert {path.name for path in tmp_path.iterdir()} == {
        "calls", "one.json", "one.tsv", "two.json", "two.tsv"
    }  # fmt: skip
    assert (tmp_path / "calls").read_text() == "xx"
    assert start(tmp_path, "work").communicate(timeout=60)[0] == "True\n"


def test_two_processes_do_the_work_once(tmp_path):
    processes = [start(tmp_path, "work") for _ in range(3)]
    answers = sorted(process.communicate(timeout=120)[0].strip() for process in processes)
    assert answers == ["False", "True", "True"]
    assert (tmp_path / "calls").read_text() == "x"
    assert not list(tmp_path.glob(".*.lock"))


def test_a_process_that_a_step_forked_does_not_hold_its_lock(tmp_path):
    with step._lock(tmp_path / "a.tsv"):
        number = os.fork()
        if number == 0:
            time.sleep(60)
            os._exit(0)
    try:
        again = step._acquire(tmp_path / ".a.tsv.lock")
        other = os.open(tmp_path / ".a.tsv.lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):  # and a lock does hold
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
        os.close(again)
    finally:
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)


def test_a_waiter_locks_the_file_that_bears_the_name_now(tmp_path):
    path = tmp_path / ".a.lock"
    first, second = step._acquire(path), []
    waiter = threading.Thread(target=lambda: second.append(step._acquire(path)))
    waiter.start()
    time.sleep(0.3)
    assert not second
    path.unlink()  # as the holder does before it lets go
    path.touch()  # as a third process does that comes then
    os.close(first)
    waiter.join(10)
    assert os.path.samestat(os.fstat(second[0]), path.stat())
    os.close(second[0])


def test_sidecar_names():
    for name, expected in (
        ("a_bold.nii.gz", "a_bold.json"),
        ("a_samples.tsv.gz", "a_samples.json"),
        ("sub-1.html", "sub-1.json"),
        ("a_relmat.tsv", "a_relmat.json"),
    ):
        assert sidecar_path(Path("x") / name) == Path("x") / expected


def test_an_input_that_is_replaced_while_the_step_runs_is_not_recorded(tmp_path):
    source, target = tmp_path / "in.tsv", tmp_path / "out.tsv"
    io.save_text("one", source)

    def copy(inputs, outputs):
        io.save_text("two", source)  # as another run would
        io.save_text(io.load_text(source), outputs["a"])

    with pytest.raises(DataError, match=r"in\.tsv: was replaced while step 'copy'"):
        run_step("copy", copy, inputs={"s": source}, outputs={"a": target}, parameters={})
    assert not target.exists()


def test_what_another_run_computes_now_is_not_discarded(tmp_path):
    target = tmp_path / "a.tsv"
    target.write_text("half")
    with step._lock(target):
        step.discard({"a": target})
        assert target.exists()
    step.discard({"a": target})
    assert not target.exists()


def test_a_disk_without_locks_is_used_all_the_same(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(step.fcntl, "flock", refuse)
    with step._lock(tmp_path / "a.tsv"):
        pass
