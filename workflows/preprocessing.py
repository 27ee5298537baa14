"""What was done to scans until a network stood there, as the records beside the files say.

A staging model knows networks that were made in one way. Each step has left its parameters beside
what it wrote, with where its inputs came from: followed back from a network to the scans, these
records say how it was made, and whether two networks were made alike.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from brainnet import io
from brainnet.bids.names import parse, shown
from brainnet.cohort.files import Sources, regional_tables
from brainnet.io import DataError
from brainnet.workflows.engine.step import sidecar_path
from brainnet.workflows.engine.uris import dataset_of

__all__ = ["SCAN", "UNRECORDED", "Processing", "Records", "canonical", "differences", "merged"]

#: modality, step, parameter to the values that it had
Processing = dict[str, dict[str, dict[str, list[Any]]]]

#: the step that stands for whatever has no record
UNRECORDED = "unrecorded"
#: the step that stands for what was measured
SCAN = "scan"
_ISOTOPE = re.compile(r"^(18F|F18|11C|C11)", re.IGNORECASE)
#: parameters that describe a scan, or how a step was run, and not what is done to every scan
_NOT_CHOSEN = frozenset({
    "facts", "frame_duration", "max_memory", "metadata", "reference", "runner", "simulated", "t_r",
})  # fmt: skip
#: what a step says of itself in the sidecar because it chooses by the length of a run
_SAID = ("Confounds", "HighPass", "LowPass")
#: inputs whose content is a choice: an atlas of the user's own, the network that segments
_FILES = ("atlas", "atlas_table", "weights")


class Records:
    """Follow the records of one derivatives dataset back, reading each of them once.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     network = Path(folder) / "sub-01_stat-pearsoncorrelation_relmat.tsv"
    ...     record = {"Step": "functional network", "Parameters": {"kind": "pearson"}, "Inputs": {}}
    ...     _ = io.save_json({"Brainnet": record}, network.with_suffix(".json"))
    ...     Records().of_network(network, "functional")
    {'functional network': {'kind': ['pearson']}}
    """

    def __init__(self) -> None:
        self._known: dict[Path, dict[str, Any] | None] = {}
        self._homes: dict[Path, Path | None] = {}

    def of_cohort(self, found: Sources, labels: Iterable[str] | None = None) -> Processing:
        """Return how the networks of a cohort were made: all that was done to any of them.

        Parameters
        ----------
        found : Sources
            Whose networks.
        labels : iterable of str, optional
            Only these subjects.
        """
        chosen = list(found.networks) if labels is None else list(labels)
        parts = [
            {modality: self.of_network(path, modality)}
            for label in chosen
            for modality, paths in found.networks[label].items()
            for path in paths
        ]
        return merged(parts)

    def of_network(self, network: Path, modality: str) -> dict[str, dict[str, list[Any]]]:
        """Return step to parameter to values, for a network and the regional tables beside it.

        What was asked of the person stands under ``scan``: task and tracer, where the name of the
        network has one.
        """
        steps = _scan(network)
        waiting = [network, *regional_tables(network, modality).values()]
        seen: set[Path] = set()
        while waiting:
            path = waiting.pop()
            sidecar = sidecar_path(path)
            if sidecar in seen:
                continue
            seen.add(sidecar)
            content = self._read(sidecar)
            if content is None:
                steps.setdefault(UNRECORDED, {})
                continue
            record = content["Brainnet"]
            own = steps.setdefault(str(record["Step"]), {})
            for key, value in _parameters(content).items():
                _add(own.setdefault(key, []), value)
            for path_or_none in self._inputs(record, path):
                if path_or_none is None:
                    steps.setdefault(UNRECORDED, {})
                else:
                    waiting.append(path_or_none)
        return steps

    def _read(self, sidecar: Path) -> dict[str, Any] | None:
        """Return a sidecar with a record; None where there is none."""
        if sidecar not in self._known:
            try:
                content = io.load_json(sidecar)
                record = content["Brainnet"]
                whole = {"Step": str, "Parameters": dict, "Inputs": dict}
                sound = all(isinstance(record[key], kind) for key, kind in whole.items())
                self._known[sidecar] = content if sound else None
            except (DataError, KeyError, TypeError):
                self._known[sidecar] = None
        return self._known[sidecar]

    def _inputs(self, record: Mapping[str, Any], output: Path) -> Iterator[Path | None]:
        """Yield the inputs that are results themselves; None for one that cannot be found."""
        for key, each in record["Inputs"].items():
            place = str(each.get("path", "")) if isinstance(each, dict) else ""
            if key in _FILES or (place.startswith("bids:") and not place.startswith("bids::")):
                continue  # its hash is kept; or of another dataset: a scan, or given derivatives
            home = self._home(output.parent)
            inside = place.removeprefix("bids::")
            if home is None or inside == place or ".." in Path(inside).parts:
                yield None
            else:
                yield home / inside

    def _home(self, folder: Path) -> Path | None:
        if folder not in self._homes:
            self._homes[folder] = dataset_of(folder / "any")
        return self._homes[folder]


def _scan(network: Path) -> dict[str, dict[str, list[Any]]]:
    """Return task and tracer of a network, spelt in one way."""
    entities, _ = parse(network.stem)
    found = {}
    if "task" in entities:
        found["task"] = ["rest" if "rest" in entities["task"].lower() else entities["task"]]
    if "trc" in entities:
        found["tracer"] = [_ISOTOPE.sub("", entities["trc"]).upper()]
    return {SCAN: found} if found else {}


def _parameters(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was chosen of a step."""
    record = content["Brainnet"]
    chosen = {key: each for key, each in record["Parameters"].items() if key not in _NOT_CHOSEN}
    said = {key: content[key] for key in _SAID if key in content}
    inputs = record["Inputs"]
    hashes = {f"{key} sha256": inputs[key].get("sha256") for key in _FILES if key in inputs}
    return chosen | said | hashes


def merged(parts: Iterable[Processing]) -> Processing:
    """Return all that several records say, values in one order.

    Examples
    --------
    >>> one = {"functional": {"cleaning": {"Confounds": ["24P"]}}}
    >>> other = {"functional": {"cleaning": {"Confounds": ["12P"]}}}
    >>> merged([one, other])
    {'functional': {'cleaning': {'Confounds': ['12P', '24P']}}}
    """
    whole: Processing = {}
    for part in parts:
        for modality, steps in part.items():
            for step, parameters in steps.items():
                own = whole.setdefault(modality, {}).setdefault(step, {})
                for key, values in parameters.items():
                    known = own.setdefault(key, [])
                    for value in values:
                        _add(known, value)
    for modality, steps in sorted(whole.items()):
        whole[modality] = {
            step: {key: sorted(values, key=_text) for key, values in sorted(parameters.items())}
            for step, parameters in sorted(steps.items())
        }
    return dict(sorted(whole.items()))


def _add(values: list[Any], value: Any) -> None:
    if value not in values:
        values.append(value)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def canonical(processing: Processing) -> str:
    """Return a record as text that is the same for the same record, whose hash can be taken.

    Examples
    --------
    >>> canonical({"functional": {"b": {}, "a": {}}})
    '{"functional": {"a": {}, "b": {}}}'
    """
    return _text(merged([processing]))


def differences(given: Processing, known: Processing) -> list[str]:
    """Say what was done to networks that was not done to those that a model knows.

    Parameters
    ----------
    given : Processing
        Of the networks in question.
    known : Processing
        Of the networks that the model was trained on; a modality that it does not have is not
        asked about.

    Returns
    -------
    list of str
        Empty where everything done to ``given`` was done to some of ``known`` too.

    Examples
    --------
    >>> known = {"functional": {"registration": {"quality": ["standard"]}}}
    >>> differences({"functional": {"registration": {"quality": ["draft"]}}}, known)
    ["registration: quality 'draft' (functional), the model's is 'standard'"]
    """
    found: dict[str, list[str]] = {}
    steps_lost: dict[str, list[str]] = {}
    for modality, steps in given.items():
        if modality not in known:
            continue
        own = known[modality]
        if set(own) <= {UNRECORDED, SCAN} and UNRECORDED not in steps:
            text = "the model's networks ({}) have no record of how they were made"
            found.setdefault(text, []).append(modality)
            continue
        for step, parameters in steps.items():
            if step in own:
                for text in _differing(step, parameters, own[step]):
                    found.setdefault(text, []).append(modality)
            elif step == UNRECORDED:
                found.setdefault("no record of how they were made ({})", []).append(modality)
            else:
                steps_lost.setdefault(step, []).append(modality)
    texts = [text.replace("{}", ", ".join(names)) for text, names in found.items()]
    lost = [f"{step!r} ({', '.join(names)})" for step, names in steps_lost.items()]
    unknown = f"steps that no network of the model went through: {', '.join(lost)}"
    return texts + ([unknown] if lost else [])


def _differing(
    step: str, parameters: Mapping[str, list[Any]], known: Mapping[str, list[Any]]
) -> Iterator[str]:
    """Yield which parameters of a step differ, and what the model has in their place."""
    for key, values in parameters.items():
        others = known.get(key, [])
        strange = [value for value in values if value not in others]
        if strange:
            own = " or ".join(map(_shown, others)) or "not there"
            new = " and ".join(map(_shown, strange))
            yield f"{shown(step)}: {shown(key)} {new} ({{}}), the model's is {own}"


def _shown(value: Any) -> str:
    text = repr(value).replace("{}", "")
    return text if len(text) <= 60 else text[:60] + "..."
