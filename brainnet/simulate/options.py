"""What a simulated cohort is asked for: the disease, the people, the scanners, what is missing.

Every number is a choice of this simulation. The sizes are of the order that the literature
reports, none was fitted to patients.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

__all__ = ["Design", "Effects", "Missing", "Sites"]


@dataclass(frozen=True)
class Effects:
    """How much the simulated disease does at severity 1 where it is at its worst.

    Without arguments the moderate level: at 400 subjects of CN, EMCI, LMCI and AD the linear
    baseline (:func:`brainnet.models.linear.edge_logistic`) has a balanced accuracy of about 0.65
    (0.648 over seeds 100 to 104, 5 folds, 84 regions; chance is 0.25). The severities of the
    stages overlap, so no model can be right throughout.

    Attributes
    ----------
    hub_loss : float
        Share of its loading on the shared hub signal that a damaged hub loses, 0 to 1.
    disconnection : float
        Share of its loading on its subsystem's signal that a region of the posterior default and
        the temporal limbic subsystem loses, 0 to 1.
    atrophy : float
        Share of its grey matter that the most vulnerable region loses, 0 to 1.
    hypometabolism : float
        Share of its FDG uptake that the most vulnerable region loses, 0 to 1.
    heterogeneity : float
        How differently subjects of one severity are hit, 0 (all alike) to 1: subtypes, and a
        factor of each subject and region.

    Examples
    --------
    >>> Effects() == Effects.moderate(), Effects.none().atrophy
    (True, 0.0)
    """

    hub_loss: float = 0.65
    disconnection: float = 0.50
    atrophy: float = 0.38
    hypometabolism: float = 0.30
    heterogeneity: float = 1.0

    def __post_init__(self) -> None:
        for each in fields(self):
            _within(each.name, getattr(self, each.name), 0.0, 1.0)

    @classmethod
    def none(cls) -> "Effects":
        """Return no effect at all: the networks of every stage are drawn alike."""
        return cls(0.0, 0.0, 0.0, 0.0)

    @classmethod
    def weak(cls) -> "Effects":
        """Return half of the moderate level."""
        return cls.moderate().scaled(0.5)

    @classmethod
    def moderate(cls) -> "Effects":
        """Return the level of the standing benchmark."""
        return cls()

    @classmethod
    def strong(cls) -> "Effects":
        """Return one and a half times the moderate level."""
        return cls.moderate().scaled(1.5)

    def scaled(self, factor: float) -> "Effects":
        """Return the same disease with every loss times ``factor`` (at most 1)."""
        return Effects(
            hub_loss=min(1.0, factor * self.hub_loss),
            disconnection=min(1.0, factor * self.disconnection),
            atrophy=min(1.0, factor * self.atrophy),
            hypometabolism=min(1.0, factor * self.hypometabolism),
            heterogeneity=self.heterogeneity,
        )


@dataclass(frozen=True)
class Design:
    """Who is studied, how often, and for how long.

    Attributes
    ----------
    n_visits : int
        Scans of each subject.
    interval : float
        Years between them.
    follow_up : float
        Years for which the diagnosis is followed at most; each subject leaves at some time in
        the last 60 % of it, never before the last scan.
    age, age_spread : float
        Mean and standard deviation at the first visit, years.
    age_gap : float
        Years by which AD is older than CN; 0 makes the stages of one age. Other than 0, age
        itself tells of the stage, and no cohort is null.
    ageing : float
        Size of the effects of age and sex on all modalities; 1 is normal ageing, 0 none.
    """

    n_visits: int = 1
    interval: float = 1.0
    follow_up: float = 5.0
    age: float = 72.0
    age_spread: float = 6.0
    age_gap: float = 0.0
    ageing: float = 1.0

    def __post_init__(self) -> None:
        _within("n_visits", self.n_visits, 1, 50)
        if int(self.n_visits) != self.n_visits:
            raise ValueError(f"n_visits must be a whole number; got {self.n_visits}.")
        _within("interval", self.interval, 0.05, 20.0)
        _within("follow_up", self.follow_up, 0.25, 50.0)
        _within("age_spread", self.age_spread, 0.0, 15.0)
        _within("ageing", self.ageing, 0.0, 10.0)


@dataclass(frozen=True)
class Sites:
    """Where and how still the subjects were scanned.

    Attributes
    ----------
    n_sites : int
        Named A, B, C and so on; subjects fall to them with equal chance.
    strength : float
        Size of the sites' effects: shift and scale by edge and region, smoothness, length of
        the run. 0 none, 1 about what studies of several scanners report.
    confounded : float
        Share of subjects, 0 to 1, whose site follows from their stage (the first stages at the
        first sites); the others' is drawn.
    motion : float
        Size of the effects of head motion on the functional networks, 0 none.
    motion_confounded : float
        Correlation, -1 to 1, of the logarithm of motion with the severity of the stage.
    """

    n_sites: int = 2
    strength: float = 1.0
    confounded: float = 0.0
    motion: float = 1.0
    motion_confounded: float = 0.0

    def __post_init__(self) -> None:
        _within("n_sites", self.n_sites, 1, 26)
        _within("strength", self.strength, 0.0, 10.0)
        _within("confounded", self.confounded, 0.0, 1.0)
        _within("motion", self.motion, 0.0, 10.0)
        _within("motion_confounded", self.motion_confounded, -1.0, 1.0)


@dataclass(frozen=True)
class Missing:
    """What was not measured.

    Attributes
    ----------
    share : float or mapping of str to float
        Share of subjects without a modality, of each or by its name; exact but for rounding. No
        subject lacks all.
    by : {None, "stage", "site"}
        What it goes with: nothing, or evenly from none in the first stage (site) to twice
        ``share`` in the last.
    signal_loss : float
        Share of subjects of whose functional run one to three regions are lost.
    """

    share: float | Mapping[str, float] = 0.0
    by: Literal["stage", "site"] | None = None
    signal_loss: float = 0.1

    def __post_init__(self) -> None:
        if self.by not in (None, "stage", "site"):
            raise ValueError(f"by must be None, 'stage' or 'site'; got {self.by!r}.")
        _within("signal_loss", self.signal_loss, 0.0, 1.0)
        given = self.share if isinstance(self.share, Mapping) else {"share": self.share}
        for name, value in given.items():
            _within(f"share of {name}" if name != "share" else name, value, 0.0, 1.0)


def _within(name: str, value: float, low: float, high: float) -> None:
    """Raise unless the value lies within its range."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be within {low:g} to {high:g}; got {value}.")
