"""The command line: what users type, right and wrong."""

import html
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from brainnet import cli, io
from brainnet.cli import commands
from brainnet.cli.parser import parse
from brainnet.models import catalogue
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.linear import majority
from brainnet.workflows import participant
from brainnet.workflows.engine import Outcome, scratch
from brainnet.workflows.settings import Settings
from tests.workflows import toy_pipelines as toy

HEAVY = {"ants", "torch", "torch_geometric", "nilearn", "pandas", "scipy", "matplotlib", "sklearn"}


@pytest.mark.parametrize("code", ["import brainnet", "import brainnet.cli"])
def test_import_pulls_nothing_heavy(code: str) -> None:
    """A second's start is a promise: what costs seconds is imported where it is used."""
    script = f"import sys\n{code}\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_help_shows_the_bids_app_and_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for word in ("participant", "group", "--participant-label", "brainnet demo OUT", "atlas list"):
        assert word in text


def test_missing_dataset_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main([str(tmp_path / "nowhere"), str(tmp_path / "out"), "participant"])
    message = capsys.readouterr().err
    assert status != 0
    assert "nowhere" in message
    assert "Traceback" not in message
    assert not (tmp_path / "out").exists()


def test_empty_dataset_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bids = tmp_path / "bids"
    bids.mkdir()
    assert cli.main([str(bids), str(tmp_path / "out"), "participant"]) != 0
    assert "dataset_description.json" in capsys.readouterr().err


def test_atlas_list_names_every_atlas(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["atlas", "list"]) == 0
    text = capsys.readouterr().out
    for name in ("DesikanKilliany", "AAL", "AICHA", "Destrieux", "Schaefer100", "TianS1"):
        assert name in text


def test_atlas_show_names_regions_and_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["atlas", "show", "DesikanKilliany"]) == 0
    text = capsys.readouterr().out
    for word in ("Left-Hippocampus", "84", "MNI", "licence"):
        assert word.lower() in text.lower()


def test_unknown_atlas_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["atlas", "show", "Brodman"]) != 0
    assert "DesikanKilliany" in capsys.readouterr().err


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A dataset of three people with quick pipelines, and where results go."""
    toy.put_in_place(monkeypatch)
    return str(toy.dataset(tmp_path / "bids", ["01", "02", "03"])), str(tmp_path / "out")


QUICK = ["--nprocs", "0", "--skip-bids-validation"]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the message with which a command line is refused, status 2."""
    try:
        status = cli.main(arguments)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize(
    "typed, word",
    [
        (["--participant-lable", "01"], "did you mean --participant-label?"),
        (["--nproc=3"], "did you mean --nprocs?"),
        (["--slopy"], "did you mean --sloppy?"),
        (["--fs-no-reconall"], "brainnet --help"),
        (["01", "02"], "The order is"),
        (["--mem", "16000"], "for MB write 16000MB"),
        (["--mem", "much"], "write 16, 16G or 16000MB"),
        (["--mem", "0"], "above 0"),
        (["--nprocs", "-1"], "0 or more"),
        (["--omp-nthreads", "0"], "1 or more"),
        (["--nprocs", "2", "--omp-nthreads", "4"], "--omp-nthreads must not be above --nprocs"),
        (["--nprocs", "two"], "whole number"),
        (["--step-timeout", "-3"], "above 0"),
        (["--random-seed", "-1"], "0 or more"),
        (["--cluster", "lsf"], "invalid choice"),
        (["--scheduler", "tcp://a:1", "--cluster", "slurm"], "scheduler and cluster"),
        (["--scheduler", "tcp://a:1", "--nprocs", "3"], "--nprocs is about this machine"),
        (["--anat-only", "--simulate-pet"], "--anat-only"),
        (["--clean-workdir"], "needs --work-dir"),
        (["--target", "stage"], "--target: of the group level only"),
        (["--output-spaces", "MNI305"], "MNI305"),
        (["--connectome", "pearsn"], "pearson"),
        (["--measures", "clustring_binary"], "clustering_binary"),
        (["--task-id", "rest"], "no BOLD run of task rest"),
        (["--session-label", "1"], "has no session 1"),
        (["--participant-label", "1"], "no participant 1; there are 01, 02, 03"),
        (["--participant-label", "../../x"], "no participant"),
        (["--bids-filter-file", "nowhere.json"], "nowhere.json"),
        (["--config-file", "nowhere.toml"], "nowhere.toml"),
        (["--derivatives", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(
    toys: tuple[str, str], typed: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bids, out = toys
    quick = [] if {"--nprocs", "--scheduler", "--nproc=3"} & set(typed) else QUICK[:2]
    assert word in refused([bids, out, "participant", *quick, QUICK[2], *typed], capsys)
    assert not Path(out).exists()


@pytest.mark.parametrize(
    "typed",
    [["--sloppy"], ["--participant-label", "01"], ["--mem", "8"], ["--dry-run"],
     ["--task-id", "rest"], ["--derivatives", "x"], ["--skip-bids-validation"]],
)  # fmt: skip
def test_flags_of_the_participant_level_are_refused_at_the_group_level(
    toys: tuple[str, str], typed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused([*toys, "group", *typed], capsys)
    assert f"{typed[0]}: of the participant level only" in message


def test_options_in_front_of_the_datasets_are_explained(
    toys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "The order is" in refused(["--participant-label", "01", *toys, "participant"], capsys)
    assert "The order is" in refused([], capsys)


def test_the_group_level_takes_one_session(
    toys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "one session" in refused([*toys, "group", "--session-label", "1", "2"], capsys)


def test_what_is_compared_reaches_the_group_level(
    toys: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from brainnet.workflows import group

    told: list[dict] = []
    monkeypatch.setattr(group, "run", lambda *_, **given: told.append(given) or tmp_path / "g.html")
    monkeypatch.setattr(group, "model_of", lambda _: None)
    options = ["--estimators", "linear", "gcn", "--n-repeats", "3", "--leave-site-out",
               "--harmonise", "--search", "--permutations", "9", "--nprocs", "2",
               "--scheme", "five"]  # fmt: skip
    assert cli.main([*toys, "group", *options]) == 0
    assert told[0]["design"] == group.Design(
        estimators=("linear", "gcn"), n_repeats=3, folds="site", harmonise="combat",
        search="inner", permutations=9, scheme="five",
    )  # fmt: skip
    assert told[0]["n_jobs"] == 2
    assert cli.main([*toys, "group"]) == 0
    assert told[1]["design"] == group.Design()
    assert told[1]["n_jobs"] >= 1


def test_a_config_file_may_hold_what_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('estimators = ["linear", "gcn"]\nharmonise = true\nn-repeats = 2\n')
    options = parse(["B", "O", "group", "--config-file", str(path)])
    assert (list(options.estimators), options.n_repeats) == (["linear", "gcn"], 2)
    assert (options.harmonise, options.leave_site_out) == (True, False)


def test_flags_may_be_spelt_with_underscores_and_as_fmriprep_spells_them(tmp_path: Path) -> None:
    options = parse(["B", "O", "participant", "--participant_label", "01", "--n_cpus", "8",
                     "--omp_nthreads=4", "--mem_mb", "8000", "-w", "W", "-t", "rest", "nback",
                     "--skull_strip_t1w", "skip", "-vv"])  # fmt: skip
    assert (options.participant_label, options.nprocs, options.omp_nthreads) == (["01"], 8, 4)
    assert (options.mem, options.work_dir, options.task_id) == (8.0, Path("W"), ["rest", "nback"])
    assert (options.skull_strip, options.verbose) == ("skip", 2)
    assert commands._resources(options).n_procs == 2  # processors in all, as in fMRIPrep


def test_help_names_the_choices_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    from brainnet.connectome.kinds import KINDS
    from brainnet.workflows.choices import GROUPS

    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name in (*KINDS, *GROUPS, *catalogue.CATALOGUE):
        assert f" {name}" in text


def test_defaults_are_those_of_the_settings() -> None:
    """What the command line takes by default, the functions take too."""
    options = parse(["B", "O", "participant", "--skip-bids-validation"])
    assert commands._settings(options) == replace(Settings(), task_id=None)


def test_a_config_file_is_overruled_by_what_is_typed(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        'nprocs = 4\nparticipant-label = ["01", "02"]\natlas = "AAL"\nsloppy = true\nmem = "8G"\n'
        'anat_only = false\ntarget = "age"\n'
    )
    options = parse(["B", "O", "participant", "--atlas", "AICHA", "--config-file", str(path)])
    assert (options.nprocs, options.participant_label) == (4, ["01", "02"])
    assert (options.atlas, options.sloppy, options.mem) == ("AICHA", True, 8.0)
    assert options.anat_only is False
    of_group = parse(["B", "O", "group", "--config-file", str(path)])
    assert (of_group.target, of_group.atlas) == ("age", "AAL")


@pytest.mark.parametrize(
    "text, word",
    [
        ("nproc = 4", "Did you mean nprocs?"),
        ("nprocs = [", "is not TOML"),
        ("nprocs = 'many'", "argument --nprocs"),
        ("sloppy = 'yes'", "--sloppy"),
        ("atlas = {a = 1}", "'atlas' holds"),
        ("participant-label = []", "'participant-label' holds []"),
        ("anat-only = true\nanat_only = true", "twice"),
        ("config-file = 'x'", "has no option 'config-file'"),
    ],
)
def test_a_faulty_config_file_is_named(
    toys: tuple[str, str],
    tmp_path: Path,
    text: str,
    word: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "faulty.toml"
    path.write_text(text)
    message = refused([*toys, "participant", "--config-file", str(path)], capsys)
    assert "faulty.toml" in message
    assert word in message


def test_a_run_is_repeated_from_what_it_left(
    toys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    bids, out = toys
    typed = ["--atlas", "DesikanKilliany", "--reference-region", "brainstem", "--random-seed", "7",
             "--measures", "none", "--participant-label", "01"]  # fmt: skip
    assert cli.main([bids, out, "participant", *QUICK, *typed]) == 0
    config = Path(out) / "logs" / "config.toml"
    assert str(bids) not in config.read_text()
    capsys.readouterr()
    again = [bids, out, "participant", "--config-file", str(config)]
    assert cli.main([*again, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "sub-01: nothing to do" in printed
    assert "sub-02: 5 steps to run, 0 done" in printed
    assert "2 of 3 participants have something to do, 10 steps in all" in printed


def test_labels_may_come_from_a_file(toys: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("01\nsub-03\n")
    labels = ["--participant-label", f"@{tmp_path / 'labels.txt'}"]
    assert cli.main([*toys, "participant", *QUICK, *labels]) == 0
    assert sorted(path.name for path in Path(toys[1]).glob("*.html")) == [
        "sub-01.html", "sub-03.html",
    ]  # fmt: skip


def test_failures_are_summed_up_with_cause_and_log(
    toys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    bids, out = toys
    toy.cut(Path(bids) / "sub-02" / "anat" / "sub-02_T1w.nii.gz")
    assert cli.main([bids, out, "participant", *QUICK]) == 1
    printed = capsys.readouterr()
    assert f"2 of 3 participants finished in {out}" in printed.out
    assert "sub-02: FAILED: sub-02/anat/sub-02_T1w.nii.gz: the gzip stream" in printed.err
    (log,) = [Path(line.split("log: ")[1]) for line in printed.err.splitlines() if "log: " in line]
    assert "Traceback" in log.read_text()
    (record,) = [line for line in printed.out.splitlines() if "record of this run" in line]
    assert Path(record.split(": ")[1]).exists()
    assert '"failed": 1' in Path(record.split(": ")[1]).read_text()


def test_hundreds_of_pages_are_not_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = [Outcome(f"{i:03d}", pages=[tmp_path / f"sub-{i:03d}.html"]) for i in range(300)]
    outcomes += [Outcome(f"x{i}", failures=[f"sub-x{i}: is broken"]) for i in range(100)]
    assert commands.report(outcomes, tmp_path) == 1
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) + len(printed.err.splitlines()) < 60
    assert "300 of 400 participants finished" in printed.out
    assert "300 pages" in printed.out
    assert "and 80 more failed" in printed.err


def test_stopping_on_the_first_crash_starts_nobody_else(
    toys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    toy.cut(Path(toys[0]) / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    assert cli.main([*toys, "participant", *QUICK, "--stop-on-first-crash"]) == 1
    assert "sub-03 was not started" in capsys.readouterr().err
    assert not (Path(toys[1]) / "sub-02").exists()


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a step: status 130, and nothing half written."""
    bids = toy.dataset(tmp_path / "bids", ["01"])
    script = (
        "import sys, time\n"
        "from brainnet import cli\n"
        "from brainnet.workflows import participant\n"
        "def slow(*_):\n"
        "    print('at it', flush=True)\n"
        "    time.sleep(60)\n"
        "participant.anatomical.run = slow\n"
        f"sys.exit(cli.main([{str(bids)!r}, {str(tmp_path / 'out')!r}, 'participant', "
        "'--nprocs', '0', '--skip-bids-validation']))\n"
    )
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert run.stdout is not None
    assert run.stdout.readline() == "at it\n"
    run.send_signal(signal.SIGINT)
    _, message = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Run the same command again" in message
    assert "Traceback" not in message
    (manifest,) = (tmp_path / "out" / "logs").glob("run-*.jsonl")
    assert json.loads(manifest.read_text().splitlines()[-1])["stopped"] == "KeyboardInterrupt"


@pytest.mark.parametrize("place", ["bids/work", "bids", "out", "out/work"])
def test_temporary_files_have_no_place_among_data(
    toys: tuple[str, str], tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused([*toys, "participant", *QUICK, "-w", str(tmp_path / place)], capsys)
    assert "temporary files have no place" in message
    assert not (tmp_path / "bids" / "work").exists()


def test_cleaning_removes_what_killed_runs_left_and_nothing_else(
    toys: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    with scratch.temporary_folder(work) as living:
        killed = Path(shutil.copytree(living, work / "brainnet-elsewhere-1-abc"))
        (killed / "big.nii").write_text("left")
        theirs = work / "brainnet-0.3"  # somebody's sources
        theirs.mkdir()
        (theirs / "setup.py").write_text("kept")
        (work / "brainnet-link").symlink_to(living)
        options = [*toys, "participant", *QUICK, "-w", str(work), "--clean-workdir"]
        assert cli.main(options) == 0
        assert "1 folders of killed runs removed" in capsys.readouterr().err
        assert sorted(work.iterdir()) == sorted([living, theirs, work / "brainnet-link"])
        assert (theirs / "setup.py").read_text() == "kept"
    assert not living.exists()
    assert (theirs / "setup.py").exists()


def test_killed_runs_of_this_machine_are_cleared_unasked(tmp_path: Path) -> None:
    with scratch.temporary_folder(tmp_path) as first:
        left = Path(shutil.copytree(first, tmp_path / f"{first.name}-copy"))
        with scratch.temporary_folder(tmp_path) as second:
            assert not left.exists()
            assert sorted(tmp_path.iterdir()) == sorted([first, second])


def test_of_many_participants_the_broken_ones_are_named_at_every_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six of eighteen, each broken in another way: twelve complete, and the group level runs."""
    labels = [f"{number:02d}" for number in range(1, 19)]
    bids, out = toy.dataset(tmp_path / "bids", labels), tmp_path / "out"
    toy.put_in_place(monkeypatch)
    monkeypatch.setattr(participant.anatomical, "run", toy.anatomy_for_groups)
    quick = {"majority": majority(), "gcn": GraphClassifier(n_epochs=2, n_hidden=4)}
    monkeypatch.setattr(catalogue, "estimators", lambda names, seed: {n: quick[n] for n in names})
    stages = ["CN" if int(label) % 2 else "AD" for label in labels]
    people = pd.DataFrame({"participant_id": [f"sub-{x}" for x in labels], "stage": stages})
    io.save_table(people, bids / "participants.tsv")
    causes = {
        "02": "the gzip stream", "05": "finite", "07": "has no T1w image",
        "08": "the file is empty", "11": "JSON", "14": "its name says sub-15",
    }  # fmt: skip
    t1w = {label: bids / f"sub-{label}" / "anat" / f"sub-{label}_T1w.nii.gz" for label in labels}
    toy.cut(t1w["02"])
    toy.not_finite(t1w["05"])
    t1w["07"].rename(bids / "sub-07" / "anat" / "sub-07_T2w.nii.gz")
    t1w["08"].write_bytes(b"")
    (bids / "sub-11" / "anat" / "sub-11_T1w.json").write_text("{")
    t1w["14"].rename(t1w["14"].with_name("sub-15_T1w.nii.gz"))
    assert cli.main([str(bids), str(out), "participant", *QUICK]) == 1
    printed = capsys.readouterr()
    assert "12 of 18 participants finished" in printed.out
    told = {line[4:6]: line for line in printed.err.splitlines()
            if line.startswith("sub-") and ": FAILED: " in line}  # fmt: skip
    assert set(told) == set(causes)
    compared = ["--n-splits", "2", "--estimators", "majority", "gcn", "--nprocs", "0"]
    assert cli.main([str(bids), str(out), "group", *compared]) == 0
    assert f"model for brainnet stage: {out / 'model-gcn'}" in capsys.readouterr().out
    page = html.unescape((out / "group.html").read_text())
    for label, cause in causes.items():
        assert cause in told[label]
        assert f"failed at the participant level: {told[label].split('FAILED: ')[1]}" in page
        assert cause in html.unescape((out / f"sub-{label}.html").read_text())
    assert "18 participants found: 12 analysed, 6 left out." in page


def test_a_dry_run_for_a_cluster_counts_its_jobs(tmp_path: Path) -> None:
    from brainnet.cli import commands
    from brainnet.workflows.engine.resources import Resources

    path = tmp_path / "slurm.toml"
    path.write_text('memory = "8GB"\nwalltime = "12:00:00"\njobs = 20\n')
    there = commands._at_the_jobs(Resources(n_procs=2, cluster="slurm", cluster_config=path))
    assert there.workers(100) == 20
    assert commands._at_the_jobs(Resources(n_procs=2)).workers(100) == 2
