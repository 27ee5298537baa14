"""A step's digest changes with whatever code it could run, and with nothing else."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from brainnet.workflows.engine import code

FILES = {
    "__init__.py": "",
    "steps.py": '''
        """Steps."""
        import os
        from toylib import deep
        from toylib.near import near as close_by

        FACTOR = 2
        TABLE = {}
        TABLE["a"] = 1
        TABLE.update(b=1)
        try:
            from toylib import perhaps
        except ImportError:
            perhaps = None
        if os.name == "posix":
            def local():
                return 1

        def step(inputs, outputs):
            """Do it."""
            from toylib.late import late
            return helper(close_by(FACTOR)) + late() + deep.deep()

        def helper(value):
            return second(value)

        def second(value):
            return value + TABLE["a"]

        def conditional():
            return local(), perhaps.perhaps()

        def unrelated():
            from toylib.other import other
            return other()

        def method(): return Class().run()

        class Class:
            def run(self): return unrelated()
        ''',
    "near.py": "from toylib.nearer import nearer\ndef near(x): return nearer(x)\n",
    "nearer.py": "def nearer(x): return x\n",
    "late.py": "def late(): return 0\n",
    "other.py": "def other(): return 0\n",
    "perhaps.py": "def perhaps(): return 0\n",
    "deep/__init__.py": "from toylib.deep.inner import deep\n",
    "deep/inner.py": "def deep(): return 0\n",
    "deep/unused.py": "def unused(): return 0\n",
}
Digest = Callable[..., str]


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Digest]:
    """Give the digest of a step of a small package, after a change in one of its files."""
    import textwrap

    folder = tmp_path / "toylib"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(code, "_PACKAGE", "toylib")

    def give(file: str = "", old: str = "", new: str = "", *, step: str = "step") -> str:
        if file:
            text = (folder / file).read_text()
            assert text.count(old) == 1
            (folder / file).write_text(text.replace(old, new))
        forget()
        function = ModuleType("function")
        function.__module__, function.__name__ = "toylib.steps", step
        return code.code_digest(function)  # type: ignore[arg-type]

    def forget() -> None:
        for each in (code.code_digest, code._module_imports, code._source, code._file):
            each.cache_clear()
        for name in [name for name in sys.modules if name.startswith("toylib")]:
            del sys.modules[name]

    yield give
    forget()


CHANGES = {
    "its own code": ("steps.py", "helper(close_by(FACTOR))", "helper(close_by(FACTOR, 1))"),
    "a helper in its module": ("steps.py", "return second(value)", "return second(value) - 1"),
    "a helper's helper": ("steps.py", 'value + TABLE["a"]', 'value - TABLE["a"]'),
    "a constant": ("steps.py", "FACTOR = 2", "FACTOR = 3"),
    "an entry of a table": ("steps.py", 'TABLE["a"] = 1', 'TABLE["a"] = 2'),
    "what a table is filled with": ("steps.py", "b=1", "b=2"),
    "which module a name comes from": ("steps.py", "toylib.near import", "toylib.late import"),
    "a module that it imports": ("near.py", "return nearer(x)", "return nearer(x + 1)"),
    "a module that this one imports": ("nearer.py", "return x", "return x + 1"),
    "a module imported in the function": ("late.py", "return 0", "return 1"),
    "a package's own file": ("deep/__init__.py", "import deep", "import deep as deep"),
    "a module of a package": ("deep/inner.py", "return 0", "return 1"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_step_uses_changes_its_digest(digest: Digest, change: str) -> None:
    before = digest()
    assert len(before) == 64
    assert digest() == before
    assert digest(*CHANGES[change]) != before


KEPT = {
    "an unrelated function": ("steps.py", "return other()", "return other() + 1"),
    "what that one imports": ("other.py", "return 0", "return 1"),
    "a module that nobody imports": ("deep/unused.py", "return 0", "return 1"),
    "a comment": ("steps.py", "FACTOR = 2", "FACTOR = 2  # twice"),
}


@pytest.mark.parametrize("change", KEPT)
def test_what_it_does_not_use_leaves_it_alone(digest: Digest, change: str) -> None:
    before = digest()
    assert digest(*KEPT[change]) == before


@pytest.mark.parametrize(
    "file, old, new",
    [("steps.py", "return 1", "return 2"), ("perhaps.py", "return 0", "return 1")],
)
def test_what_stands_under_a_condition_counts(
    digest: Digest, file: str, old: str, new: str
) -> None:
    before = digest(step="conditional")
    assert digest(file, old, new, step="conditional") != before


def test_methods_count_with_all_that_they_use(digest: Digest) -> None:
    before = digest(step="method")
    assert digest("other.py", "return 0", "return 1", step="method") != before


def test_every_real_step_has_a_digest_of_its_sources() -> None:
    from brainnet.workflows import anatomical, functional

    digests = {code.code_digest(each) for each in (anatomical.run, functional.run)}
    assert len(digests) == 2
    assert "unknown" not in digests


TYPED = """
from brainnet.workflows.engine.code import code_digest
{}
def typed(kind):
    return {} if kind in {{"a", "b", "c", "d"}} else [lambda: 1]
print(code_digest(typed), end="")
"""


def typed(text: str, *, before: str = "", hash_seed: str = "0") -> str:
    """Return the digest that a process finds for a function typed at its prompt."""
    done = subprocess.run([sys.executable, "-c", TYPED.format(before, text)], check=True, text=True,
                          capture_output=True, env={**os.environ, "PYTHONHASHSEED": hash_seed,
                          "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})  # fmt: skip
    return done.stdout


def test_of_a_typed_function_its_bytecode_counts() -> None:
    first = typed("0")
    assert len(first) == 64
    assert typed("0", before="import os") == first  # another line
    assert typed("0", hash_seed="7") == first  # another order of a set
    assert typed("1") != first
