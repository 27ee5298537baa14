"""Every example in a docstring runs."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import brainnet
import brainnet.atlases
import brainnet.workflows


def _modules() -> Iterator[str]:
    for package in (brainnet, brainnet.workflows, brainnet.atlases):
        prefix = package.__name__ + "."
        yield from (m.name for m in pkgutil.walk_packages(package.__path__, prefix))


@pytest.mark.parametrize("name", sorted(set(_modules())))
@pytest.mark.filterwarnings("default")
def test_doctests(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0
