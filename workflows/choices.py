"""What a run may be asked for by name: spaces of its images, and measures of its networks."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brainnet.metrics.measures import Measure

MNI = "MNI152NLin2009cAsym"
SPACES = ("T1w", MNI)
#: voxel sizes of a template space, mm; None: that of the image itself
RESOLUTIONS: Mapping[str, int | None] = MappingProxyType({"1": 1, "2": 2, "native": None})
NO_MEASURES = "none"


@dataclass(frozen=True)
class OutputSpace:
    """A template space in which images are written.

    Attributes
    ----------
    name : str
        The entity ``space``.
    res : {"1", "2", "native"}, optional
        The entity ``res``; without one, as with "native", an image keeps its own voxel size.
    """

    name: str
    res: str | None = None

    @property
    def entities(self) -> dict[str, str]:
        """Return the entities of the names of its images."""
        return {"space": self.name} | ({} if self.res is None else {"res": self.res})

    @property
    def voxel_size(self) -> int | None:
        """Return the edge length of a voxel, mm; None where each image keeps its own."""
        return None if self.res is None else RESOLUTIONS[self.res]


def output_spaces(names: Iterable[str]) -> tuple[OutputSpace, ...]:
    """Return the template spaces among names as fMRIPrep writes them, each once.

    Parameters
    ----------
    names : iterable of str
        ``T1w``, which is always written and so is not among what returns, or a template with
        any number of resolutions: ``MNI152NLin2009cAsym:res-1:res-2``.

    Returns
    -------
    tuple of OutputSpace
        In the order given.

    Raises
    ------
    ValueError
        If a space or resolution is unknown; the message lists the known ones.

    Examples
    --------
    >>> output_spaces(["T1w", "MNI152NLin2009cAsym:res-2"])
    (OutputSpace(name='MNI152NLin2009cAsym', res='2'),)
    """
    names = [names] if isinstance(names, str) else list(names)
    found = [space for name in names for space in _spaces(name)]
    return tuple(dict.fromkeys(found))


def _spaces(text: str) -> list[OutputSpace]:
    """Return the template spaces that one name asks for."""
    name, *modifiers = text.split(":")
    resolutions = [each.removeprefix("res-") for each in modifiers]
    sound = all(each.startswith("res-") for each in modifiers) and set(resolutions) <= {
        *RESOLUTIONS
    }
    if name not in SPACES or not sound or (name == "T1w" and modifiers):
        known = ", ".join(["T1w", MNI, *(f"{MNI}:res-{each}" for each in RESOLUTIONS)])
        raise ValueError(f"output_spaces (--output-spaces) must be of {known}; got {text!r}.")
    if name == "T1w":
        return []
    return [OutputSpace(name, each) for each in resolutions] or [OutputSpace(name)]


def measure_names(asked: Sequence[str]) -> list[str]:
    """Return the names of network measures that names and groups stand for.

    Parameters
    ----------
    asked : sequence of str
        Names in ``brainnet.metrics.measures.MEASURES`` or groups in ``GROUPS``; ``none`` alone
        for no measures.

    Returns
    -------
    list of str
        Each once, in the order of ``MEASURES``.

    Raises
    ------
    ValueError
        If nothing is asked for, or a name is unknown (the message tells the closest), or
        ``none`` stands beside others.

    Examples
    --------
    >>> measure_names(["clustering_binary", "integration"])[:2]
    ['n_components', 'global_efficiency_binary']
    """
    from brainnet.metrics.measures import MEASURES

    asked = [asked] if isinstance(asked, str) else list(asked)
    if asked == [NO_MEASURES]:
        return []
    if not asked or NO_MEASURES in asked:
        raise ValueError(
            "measures (--measures) must name measures or groups, or be none alone; got "
            f"{' '.join(asked) or 'nothing'}."
        )
    chosen: set[str] = set()
    for name in asked:
        if name in GROUPS:
            chosen |= {each for each, measure in MEASURES.items() if GROUPS[name](each, measure)}
        elif name in MEASURES:
            chosen.add(name)
        else:
            raise ValueError(_no_measure(name, [*GROUPS, NO_MEASURES, *MEASURES]))
    return [name for name in MEASURES if name in chosen]


def _no_measure(name: str, known: Sequence[str]) -> str:
    """Say what an unknown measure may have meant."""
    close = difflib.get_close_matches(str(name), known, n=3)
    hint = f" The closest: {', '.join(close)}." if close else ""
    groups = ", ".join([*GROUPS, NO_MEASURES])
    return (
        f"measures (--measures) must be groups ({groups}) or names of network measures; got "
        f"{name!r}.{hint}"
    )


def _standard(name: str, _measure: "Measure") -> bool:
    from brainnet.metrics.measures import STANDARD

    return name in STANDARD


def _starting(*stems: str) -> Callable[[str, "Measure"], bool]:
    """Return a rule that takes the measures whose names start so."""
    return lambda name, _measure: name.startswith(stems)


GROUPS: Mapping[str, Callable[[str, "Measure"], bool]] = MappingProxyType({
    "standard": _standard,
    "all": lambda _name, _measure: True,
    "binary": lambda _name, measure: not measure.weighted,
    "weighted": lambda _name, measure: measure.weighted,
    "integration": _starting("global_efficiency", "characteristic_path_length", "diameter",
                             "radius", "eccentricity", "n_components"),
    "segregation": _starting("clustering", "transitivity", "local_efficiency", "modul",
                             "n_modules"),
    "centrality": _starting("degree", "strength", "betweenness", "eigenvector", "pagerank",
                            "subgraph", "coreness", "participation", "within_module"),
    "resilience": _starting("assortativity", "synchronizability", "vulnerability"),
})  # fmt: skip
"""Groups of measures: name to the rule that says whether a measure belongs to it."""


def check(spaces: Sequence[str], connectome: Sequence[str], measures: Sequence[str]) -> None:
    """Raise for a space, kind of edges or measure that there is not.

    Raises
    ------
    ValueError
        The message lists the known ones, or the closest.

    Examples
    --------
    >>> check(["T1w"], ["pearson"], ["standard"])
    """
    from brainnet.connectome.kinds import check_kinds

    output_spaces(spaces)
    check_kinds(connectome)
    if tuple(measures) not in (("standard",), (NO_MEASURES,)):  # measures take seconds to import
        measure_names(measures)
