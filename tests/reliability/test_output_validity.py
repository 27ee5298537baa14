"""What brainnet writes is a valid BIDS derivatives dataset, by the reference validator."""

import json
import shutil
import subprocess

import pytest

from brainnet import bids, io
from brainnet.bids.names import parse
from brainnet.workflows import validation

#: codes of errors that may stand, each with its reason; none does
ALLOWED: dict[str, str] = {}

pytestmark = pytest.mark.skipif(
    validation._command() is None, reason="the BIDS validator (bids-validator-deno) is absent"
)


def errors(folder, *options):
    """Return code and place of every error, with the images' headers read too by default."""
    command = [*validation._command(), "--format", "json", "--ignoreWarnings", *options, folder]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    issues = json.loads(done.stdout)["issues"]["issues"]
    return {(issue["code"], issue["location"]) for issue in issues}


def test_derivatives_are_valid(demo_dir):
    found = errors(demo_dir / "derivatives")
    assert {each for each in found if each[0] not in ALLOWED} == set()


def test_the_validator_sees_what_is_wrong_with_derivatives(demo_dir, tmp_path):
    """Three faults planted in a copy are found: the test above can fail."""
    out = tmp_path / "derivatives"
    out.mkdir()
    for name in ("dataset_description.json", ".bidsignore"):
        shutil.copy(demo_dir / "derivatives" / name, out)
    source = demo_dir / "derivatives/sub-01/anat"
    anat = out / "sub-01/anat"
    anat.mkdir(parents=True)
    stem = "sub-01_desc-preproc_T1w"
    shutil.copy(source / f"{stem}.nii.gz", anat)
    shutil.copy(source / f"{stem}.json", anat)
    assert errors(out) == set()
    (anat / f"{stem}.json").write_text("{}")  # SkullStripped is required
    shutil.copy(source / f"{stem}.nii.gz", anat / "sub-01_stat-1_desc-x_T1w.nii.gz")
    (out / "notes.txt").write_text("x")
    codes = {code for code, _ in errors(out)}
    assert {"SIDECAR_KEY_REQUIRED", "NOT_INCLUDED"} <= codes
    assert len(errors(out)) >= 3


MORE = {"anat": {"acq": "hi", "run": "02"}, "pet": {"rec": "acdyn", "run": "1"},
        "func": {"acq": "x", "dir": "AP", "run": "01", "echo": "1"}, "": {}}  # fmt: skip
SPACES = ({"space": "MNI152NLin2009cAsym"}, {"space": "MNI152NLin2009cAsym", "res": "2"},
          {"space": "MNI152NLin2009cAsym", "res": "native"})  # fmt: skip


def test_names_with_sessions_runs_and_output_spaces_are_valid(demo_dir, tmp_path):
    """The names of the demonstration, with every entity that a scan of a cohort may have."""
    out, derivatives = tmp_path / "out", demo_dir / "derivatives"
    bids.write_dataset_description(out, demo_dir / "bids")
    (out / "sub-01_ses-1.html").write_text("x")
    (out / "sub-01_ses-1.json").write_text("{}")
    for path in (derivatives / "sub-01").rglob("[!.]*.*"):
        if path.suffix == ".json":
            continue
        stem, _, extension = path.name.partition(".")
        entities, suffix = parse(stem)
        datatype = path.parent.name if path.parent.name in MORE else ""
        spaces = SPACES if "space" in entities and suffix in ("bold", "pet", "mask") else ({},)
        for space in spaces:
            named = bids.derivative_path(
                out, entities | {"ses": "1"} | MORE[datatype] | space, datatype=datatype,
                suffix=suffix, extension=f".{extension}",
            )  # fmt: skip
            named.parent.mkdir(parents=True, exist_ok=True)
            named.write_text("x")
            beside = io.load_json(path.with_name(f"{stem}.json")) | {"Resolution": "as asked for"}
            io.save_json(beside, named.with_name(f"{named.name.partition('.')[0]}.json"))
    assert len(list(out.rglob("*.*"))) > 80
    assert errors(out, "--ignoreNiftiHeaders") == set()


def test_the_description_names_program_source_and_links(demo_dir):
    out = demo_dir / "derivatives"
    description = io.load_json(out / "dataset_description.json")
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0].keys() >= {"Name", "Version"}
    raw = (out / description["DatasetLinks"]["raw"]).resolve()
    assert raw == (demo_dir / "bids").resolve()
    assert description["SourceDatasets"] == [{"URL": "bids:raw:"}]
    assert (out / "README.md").read_text(encoding="utf-8").startswith("# Results of brainnet")


def test_every_result_has_a_sidecar_that_says_from_what_and_how(demo_dir):
    out = demo_dir / "derivatives"
    results = [path for path in out.glob("sub-*/**/*") if path.is_file() and path.suffix != ".json"
               and not path.name.startswith(".")]  # fmt: skip
    assert len(results) > 25
    for path in results:
        stem = path.name.removesuffix(".gz").rpartition(".")[0]
        sidecar = io.load_json(path.with_name(f"{stem}.json"))
        assert sidecar["Sources"], path.name
        assert all(source.startswith("bids:") for source in sidecar["Sources"]), path.name
        assert {"Step", "Parameters", "Inputs", "Versions"} <= sidecar["Brainnet"].keys()
