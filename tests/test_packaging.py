"""Every package of the source tree is installed, and every atlas file travels with it."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_listed() -> None:
    found = {"brainnet.workflows", "brainnet.atlases"}
    for init in (ROOT / "brainnet").rglob("__init__.py"):
        found.add(".".join(init.parent.relative_to(ROOT).parts))
    for init in (ROOT / "workflows").rglob("*/__init__.py"):
        found.add(".".join(("brainnet", *init.parent.relative_to(ROOT).parts)))
    assert found == set(CONFIG["tool"]["setuptools"]["packages"])


def test_workflows_and_atlases_import_under_the_package() -> None:
    import brainnet.atlases
    import brainnet.workflows

    assert Path(brainnet.workflows.__path__[0]).name == "workflows"
    assert Path(brainnet.atlases.__path__[0]).name == "atlases"
