"""Ask the BIDS validator about a dataset before anything runs.

The validator is the reference one (`bids-validator-deno`, optional). It is given no right to
write, to reach the network or to start programs, and a limit of time. What it finds wrong with the
dataset as a whole stops the run; what it finds wrong with the names and fields of one participant's
T1w, BOLD or PET fails that participant only. The rest is counted: what nothing here reads (events,
other modalities), and what is checked where it is used (whole files, fields that are needed).
Warnings are not asked for: with them the validator takes 1.6 GB for 24,000 files, without 0.65.
"""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from brainnet.bids.names import shown
from brainnet.io import DataError

#: minutes after which the validator is stopped
MINUTES = 10.0
_SHOWN = 5
_BLOCK = 1 << 20
_FOUND_ERRORS = 16  # the validator's exit status where it ran and found some
_REMEDY = "Correct this, list what is meant so in .bidsignore, or run with --skip-bids-validation"
#: counted only: the gate tells more of a damaged file, and each pipeline what it needs to be told
_CHECKED_LATER = frozenset({"EMPTY_FILE", "FILE_READ", "JSON_INVALID", "SIDECAR_KEY_REQUIRED"})
_OWNER = re.compile(r"/sub-([^/]+)/")
_USED = re.compile(
    r"/sub-[^/]+/(ses-[^/]+/)?(anat/[^/]*_T1w|func/[^/]*_bold|pet/[^/]*_pet)\.(nii|nii\.gz|json)"
)
NOT_INSTALLED = (
    "The dataset was not checked by the BIDS validator, which is not installed: "
    "pip install bids-validator-deno"
)


@dataclass(frozen=True)
class Issue:
    """One error: its code, and the file from the top of the dataset."""

    code: str
    location: str

    def __str__(self) -> str:
        return f"{self.code} ({self.location or 'the dataset'})"


@dataclass(frozen=True)
class Report:
    """What the validator found.

    Attributes
    ----------
    bids_dir : Path
        The dataset.
    ran : bool
        False where the validator is not installed; `NOT_INSTALLED` says so in words.
    n_errors : int
        All of them, also those in neither list below.
    dataset : list of Issue
        Errors of the dataset as a whole.
    participants : dict of str to list of Issue
        Errors of images that a run uses, by participant's label.
    """

    bids_dir: Path
    ran: bool = True
    n_errors: int = 0
    dataset: list[Issue] = field(default_factory=list)
    participants: dict[str, list[Issue]] = field(default_factory=dict)

    def check(self, labels: Sequence[str] = ()) -> None:
        """Raise one error for the dataset, or where nobody of ``labels`` is without error."""
        if self.dataset:
            raise _error(self.bids_dir, self.dataset)
        if labels and all(label in self.participants for label in labels):
            raise _error(self.bids_dir, [each for label in labels for each in
                                         self.participants[label]])  # fmt: skip

    def check_participant(self, label: str) -> None:
        """Raise the errors of one participant, if there are any."""
        if label in self.participants:
            raise _error(self.bids_dir / f"sub-{label}", self.participants[label])

    @property
    def summary(self) -> str:
        """The counts, on one line."""
        if not self.ran:
            return NOT_INSTALLED
        return f"BIDS validator: {self.n_errors} errors"


def _error(path: Path, issues: Sequence[Issue]) -> DataError:
    """Return one error that names the first issues."""
    first = "; ".join(map(str, issues[:_SHOWN]))
    rest = f" and {len(issues) - _SHOWN} more" if len(issues) > _SHOWN else ""
    return DataError(path, f"is not valid BIDS: {first}{rest}", _REMEDY)


def validate(bids_dir: Path | str, *, minutes: float = MINUTES) -> Report:
    """Run the BIDS validator on a dataset.

    Parameters
    ----------
    bids_dir : path
        Raw or derivative.
    minutes : float
        After which the validator is stopped.

    Returns
    -------
    Report
        Nothing is raised for what was found: see `Report.check`.

    Raises
    ------
    DataError
        If there is no such folder, or the validator crashed or took too long.
    """
    root = Path(bids_dir)
    if not root.is_dir():
        raise DataError(root, "is not a folder", "Give the folder of a BIDS dataset")
    command = _command()
    if command is None:
        return Report(root, ran=False)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        arguments = [
            "--format",
            "json",
            "--ignoreNiftiHeaders",
            "--ignoreWarnings",
            os.fspath(root.absolute()),
        ]
        status = _run([*command, *arguments], out, said, minutes=minutes)
        if status is None:
            what = f"the BIDS validator took more than {minutes:g} minutes"
            raise DataError(root, what, "Run with --skip-bids-validation")
        out.seek(0)
        if status not in (0, _FOUND_ERRORS):
            raise _crashed(root, status, said)
        try:
            return _report(root, _issues(out))
        except (ValueError, KeyError, TypeError) as error:
            raise _crashed(root, status, said) from error


def _command() -> list[str] | None:
    """Return the validator's command without the right to do harm, or None where it is absent."""
    package = find_spec("bids_validator_deno")
    if package is None or package.origin is None or find_spec("deno") is None:
        return None
    bundle = Path(package.origin).with_name("bids-validator.js")
    if not bundle.exists():
        return None
    rights = ["--no-prompt", "--allow-read", "--allow-env"]
    return [os.fsdecode(import_module("deno").find_deno_bin()), "run", *rights, os.fspath(bundle)]


def _run(command: Sequence[str], out: IO[bytes], said: IO[bytes], *, minutes: float) -> int | None:
    """Return the exit status; None where the time ran out."""
    environment = os.environ | {"NO_COLOR": "1", "DENO_NO_UPDATE_CHECK": "1"}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=said, env=environment,
            timeout=60 * minutes, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return done.returncode


def _crashed(root: Path, status: int, said: IO[bytes]) -> DataError:
    """Return the error for a validator that gave no report."""
    said.seek(0)
    lines = said.read(_BLOCK).decode(errors="replace").strip().splitlines()
    last = next((line for line in lines if line.startswith("error")), "".join(lines[-1:]))
    why = shown(last) or "it said nothing"
    what = f"the BIDS validator stopped with status {status} and no report ({why})"
    return DataError(root, what, "Run with --skip-bids-validation, or install it again")


def _issues(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the issues of a report, which for a large dataset is too large to read at once."""
    decoder, start = json.JSONDecoder(), '"issues":['
    text, block = "", _text_block(stream)
    while block and start not in text + block:
        text, block = text + block, _text_block(stream)
    text += block
    place = text.index(start) + len(start)
    ended = False
    while True:
        place += text[place : place + 1] == ","
        if text[place : place + 1] == "]":
            return
        try:
            issue, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError:
            if ended:
                raise
            block = _text_block(stream)
            ended = not block
            text, place = text[place:] + block, 0
            continue
        yield issue


def _text_block(stream: IO[bytes]) -> str:
    """Return the next block of text, never cut within a character."""
    block = stream.read(_BLOCK)
    while block and stream.peek(1)[:1] and block[-1] & 0x80:  # type: ignore[attr-defined]
        block += stream.read(1)
    return block.decode()


def _report(root: Path, issues: Iterator[Mapping[str, Any]]) -> Report:
    """Sort issues by whom they concern."""
    n_errors = 0
    dataset: list[Issue] = []
    participants: dict[str, list[Issue]] = {}
    for each in issues:
        if each["severity"] != "error":
            continue
        n_errors += 1
        issue = _issue(each)
        owner = _OWNER.match(issue.location)
        if owner is None:
            dataset.append(issue)
        elif _USED.fullmatch(issue.location) and each["code"] not in _CHECKED_LATER:
            participants.setdefault(owner[1], []).append(issue)
    return Report(root, True, n_errors, dataset, participants)


def _issue(each: Mapping[str, Any]) -> Issue:
    """Return an error as one line of printable text."""
    code = " ".join(str(each[key]) for key in ("code", "subCode") if each.get(key))
    return Issue(shown(code), shown(str(each.get("location", ""))))
