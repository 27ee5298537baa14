"""The methods of a whole run in words, and what they cite."""

import json
import re

import pytest

from brainnet import bids
from brainnet.report.methods import methods_files
from brainnet.report.references import REFERENCES, bibtex
from brainnet.workflows.citation import write_methods
from brainnet.workflows.settings import Settings


def put(root, name, content):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def made(tmp_path):
    """The sidecars of three participants: one with sessions, one stripped before, one failed."""
    put(tmp_path / "bids", "dataset_description.json", {"Name": "toy & <b>co</b>"})
    out = tmp_path / "out"
    bids.write_dataset_description(out, tmp_path / "bids")
    versions = {"Brainnet": {"Versions": {"brainnet": "0.1", "nilearn": "0.14"}}}
    atlas = "seg-DesikanKilliany"
    for stem, method, strategy, high in (
        ("sub-01/{}/sub-01", "deepbet", "24P+WM+CSF", 0.01),
        ("sub-02/ses-1/{}/sub-02_ses-1", "as given (already skull-stripped)", "6P+WM+CSF", None),
    ):
        put(out, f"{stem.format('anat')}_desc-brain_mask.json", {"Method": method} | versions)
        put(out, f"{stem.format('anat')}_{atlas}_stat-jssimilarity_relmat.json", {})
        func = f"{stem.format('func')}_task-rest_{atlas}"
        cleaned = {"Confounds": strategy, "HighPass": high, "LowPass": 0.1}
        put(out, f"{func}_stat-mean_timeseries.json", cleaned)
        put(out, f"{func}_stat-pearsoncorrelation_relmat.json", {})
        put(out, f"{func}_stat-partialcorrelation_relmat.json", {})
    put(out, "sub-02/ses-1/func/sub-02_ses-1_task-x_seg-AAL_stat-mean_timeseries.json",
        {"Confounds": "of another run, with another atlas"})  # fmt: skip
    (out / "sub-03").mkdir()
    return tmp_path


def written(made, labels):
    paths = write_methods(made / "out", made / "bids", Settings(), labels=labels)
    return [path.read_text(encoding="utf-8") for path in paths]


def test_all_that_was_done_is_named_and_nothing_else(made):
    text, entries = written(made, ["01", "02", "03", "04"])
    for words in ("toy &amp; &lt;b&gt;co&lt;/b&gt; (2 participants)", "84 regions",
                  "skull-stripped with deepbet [3] where they were not already",
                  "confounds 24P+WM+CSF or 6P+WM+CSF", "as far as each run's length",
                  "Pearson correlation", "partial correlation", "Jensen-Shannon"):  # fmt: skip
        assert words in text, words
    for words in ("SUVR", "PET", "Spearman", "another run", "simulated", "band-pass filter 0"):
        assert words not in text, words
    numbers = [int(n) for group in re.findall(r"\[([\d, ]+)\]", text) for n in group.split(",")]
    listed = re.findall(r"^(\d+)\. ", text, flags=re.MULTILINE)
    assert list(dict.fromkeys(numbers)) == [int(n) for n in listed]
    keys = re.findall(r"^@\w+\{(\w+),", entries, flags=re.MULTILINE)
    assert keys[0] == "brainnet"
    assert [REFERENCES[key] for key in keys[1:]] == re.findall(r"^\d+\. (.*)$", text, re.MULTILINE)


def test_given_and_own_masks_are_both_named_and_our_own_cited(made):
    given = {"Method": "precomputed by fMRIPrep 23.1.4"}
    put(made / "out", "sub-03/anat/sub-03_desc-brain_mask.json", given)
    put(made / "out", "sub-03/anat/sub-03_label-GM_probseg.json", given)
    put(made / "out", "sub-01/anat/sub-01_label-GM_probseg.json", {})
    text, entries = written(made, ["01", "02", "03"])
    assert re.search(
        r"deepbet \[\d+\] or the brain mask that fMRIPrep 23.1.4 had made where they were not "
        r"already", text)  # fmt: skip
    assert re.search(r"Markov random field \[\d+\] or the maps that fMRIPrep 23.1.4 had", text)
    assert "fisch2024" in entries
    assert "zhang2001" in entries


def test_one_participant_alone(made):
    text, _ = written(made, ["01"])
    assert "(1 participants)" not in text
    assert "(1 participant)" in text
    assert "band-pass filter 0.01 to 0.1 Hz" in text
    assert "6P" not in text.replace("24P+WM", "")


def test_the_same_run_gives_the_same_bytes(made):
    assert written(made, ["01", "02"]) == written(made, ["02", "01"])


def test_nothing_is_written_where_nothing_was_made(made):
    assert written(made, ["03"]) == []
    assert not (made / "out/logs").exists()


def test_a_damaged_sidecar_does_not_stop_the_text(made):
    (made / "out/sub-02/ses-1/anat/sub-02_ses-1_desc-brain_mask.json").write_text("{")
    text, _ = written(made, ["01", "02"])
    assert "(1 participant)" in text


@pytest.mark.parametrize("key", REFERENCES)
def test_every_reference_is_a_sound_bibtex_entry(key):
    entry = bibtex(key)
    assert entry.count("{") == entry.count("}")
    fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, flags=re.MULTILINE))
    assert len(fields) == len(entry.splitlines()) - 2  # every line is a field
    assert {"author", "title"} <= fields.keys()
    assert fields.keys() & {"doi", "eprint", "journal"}
    for author in fields["author"].split(" and "):
        assert author == "others" or re.fullmatch(r"[\w' -]+, (\w\.)( \w\.)*", author), author
    if "journal" in fields:
        assert int(fields["year"]) > 1980
        assert "pages" in fields
    assert fields.get("doi", "").isprintable()
    assert fields.get("year", "") in REFERENCES[key]


def test_files_need_no_part():
    text, entries = methods_files({})
    assert "## References" in text
    assert entries.startswith("@software{brainnet,")
