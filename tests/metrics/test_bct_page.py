"""The page that maps every name of the Brain Connectivity Toolbox: complete, and true."""

import ast
import importlib
import re
from pathlib import Path

import bct
import pytest

import brainnet.metrics

PAGE = Path(brainnet.metrics.__file__).parent / "BCT.md"
ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8"))
NOT_FUNCTIONS = {"BCTParamError", "BibTeX"}


def test_every_name_of_bctpy_has_a_row():
    theirs = {name for name in dir(bct) if callable(getattr(bct, name)) and name[0] != "_"}
    named = [name for name, *_ in ROWS]
    assert len(named) == len(set(named))
    assert theirs - NOT_FUNCTIONS - set(named) == set()


def test_no_line_of_the_table_is_malformed():
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    assert len(lines) == len(ROWS) > 150


@pytest.mark.parametrize("name, ours, test, note", ROWS, ids=[name for name, *_ in ROWS])
def test_row_is_true(name, ours, test, note):
    functions = re.findall(r"`([\w.]+)`", ours)
    if not functions:
        assert note.strip(), f"{name} has neither a function nor a reason"
        return
    for function in functions:
        module, _, attribute = f"brainnet.{function}".rpartition(".")
        assert callable(getattr(importlib.import_module(module), attribute)), function
    tests = re.findall(r"`([\w./]+)::(\w+)`", test)
    assert tests, f"{name} names no test"
    for path, case in tests:
        tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
        assert case in {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)}
