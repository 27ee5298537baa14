"""What came of finished jobs, kept in a folder, so that an evaluation that was killed goes on.

A result is found again by a hash of all that decides it; where anything differs it is not found,
and made anew. The files are JSON: reading them runs nothing.
"""

import ast
import hashlib
import pickle
import pickletools
import platform
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from brainnet import __version__, io
from brainnet.cohort.subjects import Subjects
from brainnet.evaluate.jobs import Done, Job

__all__ = ["Kept"]

_PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "torch")


class Kept:
    """The results of jobs on these subjects in a folder.

    What decides a result is the subjects, their stages, the estimator with its parameters, the
    source of the modules that it is made of, the split, and the versions of the packages; not
    the modules that those import. An estimator of which that cannot be known (typed at a prompt,
    or defined in a function) is never kept, nor a failure.

    Parameters
    ----------
    folder : path
        Made where it is missing.
    subjects : Subjects
    labels : (n_subjects,) array of str
    stages : tuple of str
    """

    def __init__(
        self,
        folder: Path | str,
        subjects: Subjects,
        labels: NDArray[np.str_],
        stages: tuple[str, ...],
    ) -> None:
        self.folder = Path(folder)
        self._n_stages = len(stages)
        self._given = _digest(_versions(), *_contents(subjects), labels, stages)
        self._estimators: dict[int, tuple[Any, str | None]] = {}

    def find(self, job: Job) -> Done | None:
        """Return what came of a job; None where it is not there, or damaged."""
        path = self._path(job)
        if path is None or not path.is_file():
            return None
        try:
            content = io.load_json(path)
            chances = np.array(content["chances"], dtype=np.float64)
            known = {f"{each.__module__}.{each.__qualname__}": each for each in _categories()}
            warned = [(known[name], str(text)) for name, text in content["warned"]]
            fit, predict = map(float, content["seconds"])
            choices = dict(ast.literal_eval(content["choices"]))
        except (ValueError, KeyError, TypeError, SyntaxError, RecursionError):
            return None
        if chances.shape != (len(job.split.test), self._n_stages):
            return None
        return Done(chances, (fit, predict), choices, warned)

    def keep(self, job: Job, done: Done) -> None:
        """Write what came of a job, whole or not at all.

        Raises
        ------
        DataError
            If the folder cannot be written to.
        """
        path = self._path(job)
        if path is None or done.error is not None or done.chances is None:
            return
        plain = {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in done.choices.items()
        }
        content = {
            "estimator": job.name,
            "where": job.where,
            "chances": done.chances.tolist(),
            "seconds": list(done.seconds),
            "choices": repr(plain),
            "warned": [(f"{each.__module__}.{each.__qualname__}", t) for each, t in done.warned],
        }
        try:
            if ast.literal_eval(content["choices"]) != plain:
                return
        except (ValueError, SyntaxError):  # a choice that is no number, text or the like
            return
        io.save_json(content, path)

    def _path(self, job: Job) -> Path | None:
        name = self._name(job.estimator)
        if name is None:
            return None
        key = _digest(self._given, name, *job.split)
        return self.folder / f"{key[:40]}.json"

    def _name(self, estimator: Any) -> str | None:
        """Hash an estimator once, for it is of several jobs."""
        if id(estimator) not in self._estimators:
            self._estimators[id(estimator)] = (estimator, _hash(estimator))
        return self._estimators[id(estimator)][1]


def _hash(estimator: Any) -> str | None:
    """Return a hash of an estimator and its code; None where that cannot be known."""
    try:
        # the last protocol that names a module and what is in it in one piece
        written = pickle.dumps(estimator, protocol=2, fix_imports=False)
        value = joblib.hash(estimator, hash_name="sha1")
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
        return None
    parts = pickletools.genops(written)
    names = {str(what).split()[0] for code, what, _ in parts if code.name == "GLOBAL"}
    sources = [_source(name) for name in sorted(names - {*sys.builtin_module_names})]
    return None if None in sources else _digest(value, *sources)


@lru_cache(maxsize=256)
def _source(module: str) -> str | None:
    """Return a hash of the file of a module; None where it has none, as at a prompt."""
    path = getattr(sys.modules.get(module), "__file__", None)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else None


def _contents(subjects: Subjects) -> Iterator[Any]:
    """Yield all that stands in subjects."""
    for field in fields(subjects):
        value = getattr(subjects, field.name)
        yield field.name
        yield value.to_dict("list") if field.name == "covariates" else value


def _digest(*parts: Any) -> str:
    """Return the SHA-256 of arrays, numbers and text, in their order."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"\0{part.dtype} {part.shape} ".encode())
            found.update(np.ascontiguousarray(part).reshape(-1).data)
        else:
            found.update(f"\0{part!r}".encode())
    return found.hexdigest()


def _versions() -> list[str]:
    return [__version__, platform.python_version(), *map(_version, _PACKAGES)]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _categories(of: type[Warning] = Warning) -> Iterator[type[Warning]]:
    """Yield every kind of warning that there is by now."""
    yield of
    for each in of.__subclasses__():
        yield from _categories(each)
