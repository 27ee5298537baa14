"""Run one step from files to files, record it, and skip it when nothing has changed.

Beside each output stands its sidecar, which holds what the step was given: content hashes of the
inputs, parameters, code, versions and seed. A step is skipped only where that record matches
exactly and every output still has the bytes it was recorded with. Old outputs and sidecars are
removed before the function starts, or when it fails, and sidecars come last, so a run that was
killed at any moment is seen as such. Nothing that differs from run to run is recorded there: the
same step gives the same bytes, sidecars included.
"""

import errno
import fcntl
import json
import logging
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from brainnet import __version__, io
from brainnet.io import DataError
from brainnet.workflows.engine.code import code_digest
from brainnet.workflows.engine.uris import dataset_of, uri_from

__all__ = [
    "StepResult",
    "discard",
    "is_done",
    "run_step",
    "sidecar_path",
    "version_of",
]

_LOG = logging.getLogger("brainnet")
_PACKAGES = (
    "numpy", "scipy", "pandas", "xarray", "nibabel", "nilearn", "antspyx", "deepbet",
    "scikit-learn", "numba", "torch", "torch-geometric", "matplotlib",
)  # fmt: skip
_EXTENSIONS = (".nii.gz", ".tsv.gz")


@dataclass(frozen=True)
class StepResult:
    """What a step gave.

    Attributes
    ----------
    outputs : dict of str to Path
        As asked for; every file is there.
    skipped : bool
        True where the record matched and nothing was computed.
    warnings : list of str
        What the user should know, each once; remembered from the record where skipped.
    duration : float
        Seconds that it took now.
    memory : float
        GB that its process held at most; 0 where nobody watched.
    """

    outputs: dict[str, Path]
    skipped: bool
    warnings: list[str]
    duration: float
    memory: float = 0.0


def run_step(
    name: str,
    function: Callable[..., Mapping[str, Mapping[str, Any]] | None],
    *,
    inputs: Mapping[str, Path],
    outputs: Mapping[str, Path],
    parameters: Mapping[str, Any],
    seed: int | None = None,
    locked: Callable[[], object] = lambda: None,
    running: Callable[[], object] = lambda: None,
) -> StepResult:
    """Run a function from files to files, unless its record shows that it ran with just that.

    Parameters
    ----------
    name : str
        Name of the step, for the record and the log.
    function : callable
        Called as ``function(inputs, outputs, **parameters)``, with ``seed=seed`` where there is
        one. Reads and writes through `brainnet.io` only, and writes every output. May return
        ``{output key: {field: value}}``: further BIDS metadata for that output's sidecar.
    inputs, outputs : mapping of str to Path
        Files, each by a key that the function knows. No output is an input or ends in ``.json``.
    parameters : mapping of str to value
        Whatever else the result depends on; values that JSON can hold.
    seed : int, optional
        Seed of whatever is random.
    locked, running : callable
        Called once the step has its lock, and once it turns out that it must run.

    Returns
    -------
    StepResult
        Outputs, and whether they were there already.

    Raises
    ------
    ValueError
        No output, an output that is an input or shares a sidecar with another, a parameter that
        JSON cannot hold, or metadata for an output that does not exist.
    DataError
        An input is missing or was replaced while the step ran, or the function ended without
        writing an output.
    Exception
        Whatever the function raises, with the step's name noted.

    Notes
    -----
    A lock file beside the first output, released when the process dies, keeps other processes
    from running the same step at the same time; they wait, then find it done.
    """
    sources = {key: Path(path) for key, path in inputs.items()}
    targets = {key: Path(path) for key, path in outputs.items()}
    _check(name, sources, targets)
    start = time.perf_counter()
    with _lock(next(iter(targets.values()))):
        locked()
        given = _marks(sources)
        record = _record(name, function, sources, targets, parameters, seed)
        known = _recorded(targets, record)
        if known is not None:
            _LOG.info("%s: unchanged, skipped", name)
            return StepResult(targets, True, list(known["Warnings"]), _since(start))
        running()
        _clear(targets)
        _LOG.info("%s: started", name)
        arguments = dict(parameters) if seed is None else {**parameters, "seed": seed}
        try:
            with _heard(name) as heard:
                extra = function(sources, targets, **arguments) or {}
            _check_unchanged(name, sources, given)
            _publish(targets, record, extra, heard)
        except BaseException:
            _clear(targets)
            raise
        _LOG.info("%s: done in %.1f s", name, _since(start))
        return StepResult(targets, False, heard, _since(start))


def is_done(
    name: str,
    function: Callable[..., Any],
    *,
    inputs: Mapping[str, Path],
    outputs: Mapping[str, Path],
    parameters: Mapping[str, Any],
    seed: int | None = None,
) -> StepResult | None:
    """Return what `run_step` would skip with, or None where it would run; nothing is written."""
    sources = {key: Path(path) for key, path in inputs.items()}
    targets = {key: Path(path) for key, path in outputs.items()}
    _check(name, sources, targets)
    known = _recorded(targets, _record(name, function, sources, targets, parameters, seed))
    return None if known is None else StepResult(targets, True, list(known["Warnings"]), 0.0)


def discard(outputs: Mapping[str, Path]) -> None:
    """Remove what a step that was ended from outside left half done.

    Where another process runs the step now, what lies there is that one's.
    """
    targets = {key: Path(path) for key, path in outputs.items()}
    with suppress(BlockingIOError), _lock(next(iter(targets.values())), wait=False):
        if not all(sidecar_path(path).exists() for path in targets.values()):
            _clear(targets)


def sidecar_path(path: Path) -> Path:
    """Return where the sidecar of an output stands: its name with ``.json`` for its extension.

    Examples
    --------
    >>> sidecar_path(Path("sub-01_desc-v1.5_T1w.nii.gz")).name
    'sub-01_desc-v1.5_T1w.json'
    """
    for extension in _EXTENSIONS:
        if path.name.endswith(extension):
            return path.with_name(path.name.removesuffix(extension) + ".json")
    return path.with_suffix(".json")


def _marks(inputs: Mapping[str, Path]) -> dict[str, tuple[int, int, int]]:
    """Return what tells whether a file has been replaced, of each input."""
    found = {key: path.stat() for key, path in inputs.items()}
    return {key: (s.st_ino, s.st_size, s.st_mtime_ns) for key, s in found.items()}


def _check_unchanged(
    name: str, inputs: Mapping[str, Path], given: Mapping[str, tuple[int, int, int]]
) -> None:
    """Raise where an input was replaced while the step ran: the record would not be true."""
    try:
        now = _marks(inputs)
    except FileNotFoundError:
        now = {}
    for key, path in inputs.items():
        if now.get(key) != given[key]:
            what = f"was replaced while step {name!r}, which reads it, ran"
            remedy = "Does another run work on this participant? Run again when it is done"
            raise DataError(path, what, remedy)


def _check(name: str, inputs: Mapping[str, Path], outputs: Mapping[str, Path]) -> None:
    """Raise for inputs and outputs that cannot be recorded."""
    if not outputs:
        raise ValueError(f"outputs of step {name!r} must name at least one file; got none.")
    for key, path in inputs.items():
        if not path.is_file():
            what = f"input {key!r} of step {name!r} does not exist"
            remedy = "Run the step that writes it first, or check the path"
            if path.is_symlink():
                what += ": the file is a link whose target is not there"
                remedy = "Fetch the content first (for a DataLad dataset: datalad get)"
            raise DataError(path, what, remedy)
    sidecars = [sidecar_path(path).absolute() for path in outputs.values()]
    if len(set(sidecars)) != len(sidecars):
        raise ValueError(f"outputs of step {name!r} must differ in more than their extension; "
                         f"got {[path.name for path in outputs.values()]}.")  # fmt: skip
    taken = {path.resolve() for path in inputs.values()}
    for key, path in outputs.items():
        if path.suffix == ".json":
            raise ValueError(f"output {key!r} must not be .json: {path.name} is a sidecar's name.")
        if path.resolve() in taken or sidecar_path(path).resolve() in taken:
            raise ValueError(f"output {key!r} of step {name!r} must not be an input: {path.name}.")


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)


def _record(
    name: str,
    function: Callable[..., Any],
    inputs: Mapping[str, Path],
    outputs: Mapping[str, Path],
    parameters: Mapping[str, Any],
    seed: int | None,
) -> dict[str, Any]:
    """Return what must be equal for the step to be skipped."""
    home = dataset_of(next(iter(outputs.values())))
    return {
        "Step": name,
        "Parameters": _as_json(parameters, name),
        "Inputs": {
            key: {"path": uri_from(home, path), "sha256": io.sha256(path)}
            for key, path in sorted(inputs.items())
        },
        "Outputs": sorted(outputs),
        "Code": code_digest(function),
        "Versions": _versions(),
        "Seed": seed,
    }


def _as_json(parameters: Mapping[str, Any], name: str) -> Any:
    """Return the parameters as JSON holds them, so that they compare equal when read back."""
    try:
        return json.loads(json.dumps(dict(parameters), sort_keys=True, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"parameters of step {name!r} must be what JSON can hold (numbers, text, lists, "
            f"dicts, None): {error}. Pass files as inputs."
        ) from error


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    """Return the versions that a result may depend on, without importing anything."""
    own = {"brainnet": __version__, "python": platform.python_version()}
    return own | {package: version_of(package) for package in _PACKAGES}


def version_of(package: str) -> str:
    """Return the version of a package without importing it; ``not installed`` where it is not."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _recorded(outputs: Mapping[str, Path], record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the record on the disk if it is this one and every output has its bytes."""
    found: dict[str, Any] = {}
    for path in outputs.values():
        try:
            found = io.load_json(sidecar_path(path))["Brainnet"]
            if {key: found[key] for key in record} != dict(record):
                return None
            if found["Output"] != io.sha256(path):
                return None
            found["Warnings"] = list(found["Warnings"])
        except (DataError, KeyError, TypeError, ValueError):
            return None
    return found


def _clear(outputs: Mapping[str, Path]) -> None:
    """Remove what an earlier or killed run left, so that nothing stale can pass for a result."""
    for path in outputs.values():
        sidecar_path(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        for target in (path, sidecar_path(path)):
            for rest in target.parent.glob(f".{target.name[:200]}.*.tmp"):
                rest.unlink(missing_ok=True)


@contextmanager
def _heard(name: str) -> Iterator[list[str]]:
    """Collect the UserWarnings of a block, each once; let every other category through."""
    heard: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield heard
        except Exception as error:
            error.add_note(f"in step {name!r}")
            raise
        finally:
            others = [each for each in caught if not issubclass(each.category, UserWarning)]
            texts = [str(each.message) for each in caught if each not in others]
            heard.extend(dict.fromkeys(texts))
            for text in heard:
                _LOG.warning("%s: %s", name, text)
    for each in others:
        warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


def _publish(
    outputs: Mapping[str, Path],
    record: Mapping[str, Any],
    extra: Mapping[str, Mapping[str, Any]],
    heard: list[str],
) -> None:
    """Write the sidecars, once every output is there."""
    for key, path in outputs.items():
        if not path.is_file():
            what = f"step {record['Step']!r} ended without writing its output {key!r}"
            raise DataError(path, what, "This is a fault of the step; report it with the log")
    strange = sorted(set(extra) - set(outputs))
    if strange:
        raise ValueError(f"metadata must be keyed by output {sorted(outputs)}; got {strange}.")
    sources = sorted({each["path"] for each in record["Inputs"].values()})
    for key, path in outputs.items():
        own = {**record, "Output": io.sha256(path), "Warnings": heard}
        sidecar = {"Sources": sources, **extra.get(key, {}), "Brainnet": own}
        io.save_json(sidecar, sidecar_path(path))


@contextmanager
def _lock(output: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the step's lock; the system releases it when the process dies."""
    path = output.with_name(f".{output.name[:200]}.lock")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        handle = _acquire(path, wait)
    except BlockingIOError:
        raise
    except OSError as error:
        problem = f"cannot be written to ({error.strerror})"
        raise DataError(output.parent, problem, "Give a folder that you may write to") from error
    _held.add(handle)
    try:
        yield
    finally:
        if handle in _held:  # not in a process that the step forked
            path.unlink(missing_ok=True)  # while held: see _acquire
            _held.remove(handle)
            os.close(handle)


_held: set[int] = set()


def _let_go() -> None:
    """Close the locks in a process that a step forked: else they last as long as that does."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)


def _acquire(path: Path, wait: bool = True) -> int:
    """Return an open, locked handle of the file that bears the name now."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            _flock(handle, path, wait)
        except OSError as error:
            if error.errno in io.NO_LOCKS:  # one run at a time, then
                return handle
            os.close(handle)
            if error.errno == errno.ESTALE:  # NFS: its holder took it away while we waited
                continue
            raise
        try:
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except FileNotFoundError:
            pass  # its holder finished and took it away while we waited: try again
        os.close(handle)


def _flock(handle: int, path: Path, wait: bool) -> None:
    """Lock an open file, at once or once its holder is done."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            raise
        _LOG.info("%s: another process runs this step; waiting", path.name)
        fcntl.flock(handle, fcntl.LOCK_EX)
