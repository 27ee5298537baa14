"""What every public function of a network owes, found by itself: a new one is tested on arrival."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import brainnet.metrics

FIRST = ("weights", "adjacency", "networks", "layers")
"""First parameters of the functions that are tested here."""

OTHER_INPUT = {
    "attack_order.attack_order_random": "reads only the number of regions",
    "generative.energy": "compares with a set of grown networks",
    "generative.energy_terms": "compares with a set of grown networks",
    "modules.gains_directed": "within the package: takes a checked array",
    "modules.gains_signed": "within the package: takes a checked array",
    "modules.single_regions": "within the package: takes a checked array",
    "motifs.catalogue.find_motif": "takes one motif of three or four regions",
    "nulls.connected.check_connected": "within the package: takes a checked array",
    "routing.check_lengths": "within the package: takes a checked array",
    "sweep.sweep": "gives a table, of many subjects",
}
"""Functions that take a network and are tested only in their own files, and why."""

LAYERED = {"rewire_layers", "permute_layers"}
DIRECTED = {
    "components_strong",
    "components_weak",
    "joint_degree",
    "permute_layers",
    "strength_correlation",
}
SIGNED = {
    "average_controllability",
    "drop_everywhere",
    "length_difference",
    "modal_controllability",
    "network_correlation",
    "permute_layers",
    "strength",
    "strength_correlation",
    "strength_in",
    "strength_negative",
    "strength_out",
    "strength_positive",
}
EITHER = ("networks", "layers")  # boolean, or weights of any sign unless named here
NON_NEGATIVE = {
    "latticize",
    "latticize_directed",
    "latticize_connected",
    "latticize_connected_directed",
}
ONE_AT_A_TIME = {
    "communities.clique_communities": "as many columns as the network with the most communities",
    "rentian.rentian_scaling": "the cubes are the same for all networks",
    "routes.shortest_path_binary": "paths differ in length",
    "routes.shortest_path_weighted": "paths differ in length",
    "small_world.small_world_omega_binary": "lattices and nulls share one generator",
    "small_world.small_world_omega_weighted": "lattices and nulls share one generator",
    "unmeasured.drop_everywhere": "the same regions are dropped from all networks",
}
"""Functions of which a batch is not a loop, and why."""

WITHIN = {
    *(name for name in OTHER_INPUT if OTHER_INPUT[name].startswith("within")),
    "modules.best_partition",
    "modules.check_n_runs",
    "modules.check_resolution",
    "motifs.catalogue.parts_of",
    "partitions.check_partitions",
    "paths.hop_counts",
    "routes.check_region",
}
"""What modules of the package share, and users do not call."""

WARNS: dict[str, str] = {}
UNCHECKED: dict[str, str] = {}


@dataclasses.dataclass(frozen=True)
class Measure:
    """A public function and the networks that it takes."""

    name: str
    function: Callable[..., Any]
    directed: bool
    signed: bool
    layered: bool

    @property
    def parameters(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.function).parameters.values())

    @property
    def binary(self) -> bool:
        return self.parameters[0].name == "adjacency"

    @property
    def random(self) -> bool:
        return "rng" in inspect.signature(self.function).parameters

    def __call__(
        self, network: Any, shape: tuple[int, ...] | None = None, **keywords: Any
    ) -> list[np.ndarray]:
        """Return the results, given what else the function needs for networks of this shape."""
        shape = np.shape(network) if shape is None else shape
        if "directed" in inspect.signature(self.function).parameters:
            keywords["directed"] = self.directed
        for parameter in self.parameters[1:]:
            needed = parameter.name == "n_nulls" or parameter.default is parameter.empty
            if needed and parameter.name not in keywords:
                keywords[parameter.name] = further(parameter.name, network, shape)
        if "multilayer" in self.name and "modules" in keywords:
            keywords["modules"] = np.stack([keywords["modules"], np.arange(shape[-1]) % 3])
        result = self.function(network, **keywords)
        if dataclasses.is_dataclass(result) and not isinstance(result, type):
            result = tuple(vars(result).values())
        return [np.asarray(each) for each in (result if isinstance(result, tuple) else (result,))]


def further(name: str, network: Any, shape: tuple[int, ...]) -> Any:
    """Return the argument of this name that fits networks of this shape."""
    n = shape[-1] if shape else 1
    place = np.arange(n)
    table: dict[str, Callable[[], Any]] = {
        "modules": lambda: place % 2,
        "distances": lambda: np.abs(place[:, None] - place) * 1.0,
        "coordinates": lambda: np.stack([place, place**2, place % 2], axis=-1) * 1.0,
        "nulls": lambda: np.stack([network, network], axis=-3),
        "other": lambda: network,
        "order": lambda: place[::-1],
        "fixed": lambda: np.zeros((n, n), dtype=bool),
        "thresholds": lambda: np.zeros(shape[-3] if len(shape) > 2 else 1),
        "average_degree": lambda: 2.0,
        "k": lambda: 1,
        "s": lambda: 0.5,
        "size": lambda: 3,
        "length": lambda: 2,
        "source": lambda: 0,
        "target": lambda: n - 1,
        "probability": lambda: 0.5,
        "n_nulls": lambda: 2,
    }
    return table[name]()


def modules_of(package: Any) -> Iterator[Any]:
    """Yield the public modules of a package and of the packages in it."""
    for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not found.name.rpartition(".")[2].startswith("_"):
            module = importlib.import_module(found.name)
            yield module
            if found.ispkg:
                yield from modules_of(module)


def public_functions() -> dict[str, Callable[..., Any]]:
    """Return the public functions of brainnet.metrics by their names within it."""
    return {
        f"{module.__name__}.{name}".removeprefix("brainnet.metrics."): function
        for module in modules_of(brainnet.metrics)
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
    }


def measures() -> Iterator[Measure]:
    """Yield the functions of networks; those with the option ``directed`` twice."""
    for name, function in FUNCTIONS.items():
        parameters = inspect.signature(function).parameters
        first = next(iter(parameters), "")
        if first not in FIRST or name in OTHER_INPUT:
            continue
        short = name.rpartition(".")[2]
        layered = short in LAYERED or name.startswith("multiplex.") or "multilayer_" in name
        signed = short in SIGNED or "_signed" in short
        signed |= first in EITHER and short not in NON_NEGATIVE
        signed |= short.startswith("rewire_strength")
        directed = short in DIRECTED or re.search(r"_(directed|in|out)$", short) is not None
        directed |= re.match(r"motifs\d_(struct|func)", short) is not None
        for kind in [False, True] if "directed" in parameters else [directed]:
            label = f"{name}-directed" if kind and "directed" in parameters else name
            yield Measure(label, function, kind, signed, layered)


NEVER_RAISES = {
    "efficiency.inverse",
    "efficiency.mean_inverse",
}
"""Functions of distances that have been checked."""

POSITIONAL = {
    "generate.fractal": "what a hierarchy is made of",
    "generate.modular_network": "what the networks are made of",
    "generate.toeplitz": "what the networks are made of",
    "generative.energy": "two kinds of networks and the distances",
    "generative.energy_terms": "two kinds of networks and the distances",
    "nulls.spatial.length_difference": "two kinds of networks and the distances",
    "sweep.sweep": "networks and what is measured of them",
}
"""Functions with more than two positional arguments or an optional one, and what these are."""

FUNCTIONS = public_functions()
MEASURES = list(measures())
N = 8


def network(measure: Measure, kind: str, n: int = N) -> np.ndarray:
    """Return a network of a kind for a measure, of two layers if it takes layers."""
    rng = np.random.default_rng(n)
    pair = np.triu(rng.random((n, n)) < 0.5, 1)
    weights = rng.integers(1, 5, (n, n)) / 4.0  # ties, and exact as float32
    if kind == "empty":
        pair[:] = False
    elif kind == "edge":
        pair[:] = False
        pair[0, -1] = n > 1
    elif kind == "complete":
        pair = np.triu(np.ones((n, n), dtype=bool), 1)
    elif kind == "pieces":
        pair[: n // 2, n // 2 :] = False
        pair[-1] = pair[:, -1] = False
    else:
        pair |= np.eye(n, k=1, dtype=bool)
    weights = np.triu(weights, 1) * pair
    weights += weights.T
    if measure.binary:
        weights = (weights > 0) * 1.0
    if measure.directed and kind not in ("complete", "edge"):
        weights *= rng.random((n, n)) < 0.8
    if measure.signed:
        weights *= np.where((np.arange(n)[:, None] + np.arange(n)) % 3 == 0, -1, 1)
    return np.stack([weights, np.roll(weights, 1, axis=(0, 1))]) if measure.layered else weights


def assert_same(first: list[np.ndarray], second: list[np.ndarray], what: str) -> None:
    assert len(first) == len(second)
    for one, two in zip(first, second, strict=True):
        assert one.shape == two.shape, what
        assert one.dtype == two.dtype, what
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-9, err_msg=what)


def each_measure(wrong: dict[str, str] | None = None) -> pytest.MarkDecorator:
    """Return the mark that runs a test of each measure; of those named, it is known to fail."""
    wrong = wrong or {}
    cases = []
    for each in MEASURES:
        reason = wrong.get(each.name.removesuffix("-directed"))
        marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
        cases.append(pytest.param(each, id=each.name, marks=marks))
    return pytest.mark.parametrize("measure", cases)


@each_measure(WARNS)
def test_small_and_degenerate_networks(measure):
    returns = inspect.getdoc(measure.function)
    for kind in ("connected", "pieces", "empty", "edge", "complete"):
        for n in (1, 2, 3, N):
            given = network(measure, kind, n)
            try:
                results = measure(given)
            except ValueError:
                if n == N and kind == "connected":
                    raise
                continue
            for result in results:
                if result.dtype.kind == "f":
                    assert not np.isnan(result).any() or "NaN" in returns, f"{kind} of {n}"
                    assert not np.isinf(result).any() or "inf" in returns.lower(), f"{kind} of {n}"


@each_measure(UNCHECKED)
def test_any_form_of_the_same_network(measure):
    given = network(measure, "connected")
    before = given.copy()
    expected = measure(given)
    np.testing.assert_array_equal(given, before)
    given.flags.writeable = False
    forms = {
        "read-only": given,
        "Fortran order": np.asfortranarray(given),
        "list": given.tolist(),
        "float32": given.astype(np.float32),
    }
    if measure.binary:
        forms |= {"integers": given.astype(int), "booleans": given.astype(bool)}
    for what, form in forms.items():
        assert_same(measure(form), expected, what)
    if not measure.binary:
        whole = np.round(given * 4)
        assert_same(measure(whole.astype(np.int8)), measure(whole), "small integers")


@each_measure()
def test_a_batch_is_a_loop(measure):
    if measure.name.removesuffix("-directed") in ONE_AT_A_TIME:
        return
    options = {"n_nulls": 1} if "n_nulls" in [each.name for each in measure.parameters] else {}
    kinds = ("connected", "pieces", "complete", "connected", "pieces", "complete")
    if "_connected" in measure.name:
        kinds = ("connected", "complete") * 3
    single = [network(measure, kind) for kind in kinds]
    batch = np.stack(single).reshape(2, 3, *single[0].shape)
    results = measure(batch, **options)
    for i in range(1 if measure.random else 6):  # the seeds of later networks are others
        parts = [each if each.ndim == 0 else each[i // 3, i % 3] for each in results]
        assert_same(parts, measure(single[i], **options), kinds[i])


@each_measure(UNCHECKED)
def test_no_network_at_all_is_refused(measure):
    for shape in [(0,), (2, 0), (0, 3)]:
        given = network(measure, "connected")
        empty = np.zeros((*shape, *given.shape))
        with pytest.raises(ValueError, match=r"shape|at least one"):
            measure(empty)


@each_measure(UNCHECKED)
def test_what_is_no_such_network_is_refused(measure):
    good = network(measure, "connected")
    holed, infinite, looped, lopsided = good.copy(), good.copy(), good.copy(), good.copy()
    holed[..., 0, 1] = holed[..., 1, 0] = np.nan
    infinite[..., 0, 1] = infinite[..., 1, 0] = np.inf
    looped[..., 2, 2] = 1
    lopsided[..., 0, 1] = 1
    lopsided[..., 1, 0] = 0
    wrong = {
        "NaN": holed,
        "infinite": infinite,
        "oblong": good[..., :-1],
        "one axis": good.reshape(-1),
        "number": 1.0,
        "no region": good[..., :0, :0],
        "diagonal": looped,
        "asymmetric": lopsided,
        "negative": -np.abs(good),
        "weights": good * 0.5,
        "words": np.full(good.shape, "a"),
    }
    if measure.directed:
        del wrong["asymmetric"]
    if measure.signed:
        del wrong["negative"]
    if not measure.binary:
        del wrong["weights"]
    accepted = []
    for what, network_ in wrong.items():
        try:
            measure(network_, good.shape)
        except ValueError:
            continue
        except Exception as error:
            accepted.append(f"{what}: {type(error).__name__}: {error}")
        else:
            accepted.append(what)
    assert not accepted


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - WITHIN))
def test_documentation(name):
    text = inspect.getdoc(FUNCTIONS[name])
    signature = inspect.signature(FUNCTIONS[name])
    sections = re.findall(r"^(\w+)\n-{5,}$", text, re.MULTILINE)
    expected = ["Parameters", "Returns", "Raises", "References", "Examples"]
    assert sections == [each for each in expected if each in sections]
    assert {"Parameters", "Returns", "Examples"} <= set(sections)
    assert "Raises" in sections or name in NEVER_RAISES
    assert ">>> " in text
    assert re.match(r"(Return|Write|Draw|Grow)\b.*\.$", text.splitlines()[0])
    described = text.partition("Parameters\n")[2].partition("Returns\n")[0]
    for parameter in signature.parameters.values():
        assert re.search(rf"^[\w, ]*\b{parameter.name}\b", described, re.MULTILINE)
        option = parameter.default is not parameter.empty
        assert not option or parameter.kind is parameter.KEYWORD_ONLY or name in POSITIONAL
    needed = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert len(needed) <= 2 or name in POSITIONAL
