"""What each step needs: for the estimate of a dry run, and for when a step is taken to hang."""

from dataclasses import dataclass

#: a step is taken to hang after this many times its estimate, but not before LEAST_TIMEOUT
PATIENCE = 40.0
LEAST_TIMEOUT = 30.0


@dataclass(frozen=True)
class Needs:
    """What one step takes on one thread of a common processor.

    Attributes
    ----------
    minutes : float
        Of a usual scan: a T1w of 1 mm, a BOLD run of 10 min at 3 mm, a static PET.
    memory : float
        GB, at most, the process included.
    disk : float
        MB that its outputs take.
    """

    minutes: float = 0.05
    memory: float = 1.0
    disk: float = 0.1

    @property
    def timeout(self) -> float:
        """Minutes after which the step is taken to hang."""
        return max(LEAST_TIMEOUT, PATIENCE * self.minutes)


#: measured on real scans, one thread
NEEDS: dict[str, Needs] = {}


def needs_of(step: str) -> Needs:
    """Return what a step needs, by its name."""
    return NEEDS.get(step, Needs())
