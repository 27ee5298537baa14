"""Which code a step depends on: a digest that changes when its function could act differently.

It covers the function, what of its own module that function uses, and, whole, every module of
brainnet that those import, at their turn. An editor of one pipeline recomputes that pipeline's
steps and leaves the others alone; an installed release has its version as well.
"""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

_PACKAGE = "brainnet"


@lru_cache(maxsize=256)
def code_digest(function: Callable[..., Any]) -> str:
    """Return the SHA-256 of the code that a function of this package, or of a user's, runs.

    Parameters
    ----------
    function : callable
        Defined at the top of a module with a source file.

    Returns
    -------
    str
        64 hexadecimal digits. Of a function typed at a prompt or in a notebook its own bytecode
        counts, not what it calls.
    """
    source = None if function.__module__ == "__main__" else _source(function.__module__)
    if source is None:
        code = getattr(function, "__code__", None)
        return hashlib.sha256(_bytecode(code) if code else b"").hexdigest()
    own, imported = _used(ast.parse(source), getattr(function, "__name__", ""))
    digest = hashlib.sha256("\n".join(own).encode())
    for module in sorted(_closure(imported)):
        digest.update(f"\0{module}\0{_source(module)}".encode())
    return digest.hexdigest()


def _bytecode(code: CodeType) -> bytes:
    """Return what a function does, wherever it stands and whatever its lines are numbered."""
    inner = [_bytecode(c) if isinstance(c, CodeType) else _constant(c) for c in code.co_consts]
    return b"\0".join([code.co_code, " ".join(code.co_names).encode(), *inner])


def _constant(value: Any) -> bytes:
    """Return a constant as text; a set in one order, whatever the process's is."""
    sets = isinstance(value, frozenset)
    return repr(sorted(map(repr, value)) if sets else value).encode()


def _used(tree: ast.Module, name: str) -> tuple[list[str], set[str]]:
    """Return the statements that a function needs of its module, and the modules they import."""
    binds: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for bound in _bound(statement):
            binds.setdefault(bound, []).append(statement)
    if name not in binds:  # a lambda or a method: all of the module
        return [ast.unparse(tree)], set(_imports(tree))
    seen, waiting, kept = set(), [name], []
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for statement in binds.get(current, []):
            kept.append(statement)
            waiting += [n.id for n in ast.walk(statement) if isinstance(n, ast.Name)]
    kept.sort(key=lambda statement: statement.lineno)
    imported = {module for statement in kept for module in _imports(statement)}
    return [ast.unparse(statement) for statement in kept], imported


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement at the top of a module gives a value, or changes."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
        yield statement.name
        return
    for node in ast.walk(statement):  # what stands under an if or a try as well
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0]
        elif isinstance(getattr(node, "ctx", None), ast.Store):
            yield _base(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield _base(node.func)  # TABLE.update(...)


def _base(node: ast.AST) -> str:
    """Return the name before the dots and brackets, empty where there is none."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


@lru_cache(maxsize=1024)
def _module_imports(module: str) -> frozenset[str]:
    """Return the modules of this package that a module imports, anywhere in it."""
    source = _source(module)
    return frozenset(_imports(ast.parse(source))) if source else frozenset()


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield the modules of this package that a tree imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith(_PACKAGE))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
            assert node.module is not None
            yield node.module
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if _file(name) is not None:
                    yield name


def _closure(modules: set[str]) -> set[str]:
    """Return the modules, their parents, and all that they import."""
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in seen or module == _PACKAGE:
            continue
        seen.add(module)
        waiting.append(module.rpartition(".")[0])
        waiting.extend(_module_imports(module))
    return {module for module in seen if module}


@lru_cache(maxsize=1024)
def _source(module: str) -> str | None:
    """Return the text of a module, None where it has none."""
    path = _file(module)
    return path.read_text(encoding="utf-8") if path else None


@lru_cache(maxsize=4096)
def _file(module: str) -> Path | None:
    """Return the file of a module without running it, None where it is not one."""
    loaded = sys.modules.get(module)
    name = getattr(loaded, "__file__", None)
    if name is None:
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError):
            return None
        name = found.origin if found else None
    path = Path(name) if name else None
    return path if path and path.suffix == ".py" and path.exists() else None
