"""What each step needs: for the estimate of a dry run, and for when a step is taken to hang."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: a step is taken to hang after this many times its estimate, but not before LEAST_TIMEOUT
PATIENCE = 40.0
LEAST_TIMEOUT = 30.0
#: GB that a step's process holds before it has loaded anything
_PROCESS = 0.5
#: MB that the usual scan of a data type has, unpacked
USUAL = {"anat": 30.0, "func": 80.0, "pet": 20.0}


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
    grows : float
        Share of the time and the disk that is proportional to the scan's size; the rest is the
        same for every scan. The memory beyond the process's own grows with it where this is not 0.
    """

    minutes: float = 0.05
    memory: float = 1.0
    disk: float = 0.1
    grows: float = 0.0

    @property
    def timeout(self) -> float:
        """Minutes after which the step is taken to hang."""
        return max(LEAST_TIMEOUT, PATIENCE * self.minutes)

    def of(self, size: float) -> "Needs":
        """Return what a scan of ``size`` times the usual needs.

        Examples
        --------
        >>> Needs(minutes=2, memory=1.5, disk=10, grows=0.5).of(3.0)
        Needs(minutes=4.0, memory=3.5, disk=20.0, grows=0.5)
        """
        factor = 1 - self.grows + self.grows * size
        memory = _PROCESS + (self.memory - _PROCESS) * size if self.grows else self.memory
        return Needs(self.minutes * factor, max(_PROCESS, memory), self.disk * factor, self.grows)


#: measured on two real participants and a simulated one, one thread; by name of the step, and
#: with a word in brackets where a choice changes it by much
NEEDS: dict[str, Needs] = {
    "brain mask": Needs(0.14, 1.2, 0.2, 0.8),
    "brain segmentation": Needs(0.3, 3.0, 25, 0.5),
    "haemorrhage reading": Needs(0.3, 1.5, 1, 0.5),
    "brain mask as given": Needs(0.02, 0.8, 0.2),
    "tissue as given": Needs(0.05, 1.0, 19),
    "bias field": Needs(0.55, 2.5, 19, 0.7),
    "tissue": Needs(0.38, 1.2, 19, 0.9),
    "registration to MNI": Needs(0.45, 2.0, 250, 0.5),
    "registration to MNI (draft)": Needs(0.3, 1.7, 170, 0.9),
    "registration to MNI (ants)": Needs(7.5, 2.5, 250, 0.5),
    "modulated grey matter": Needs(0.04, 1.1, 1, 0.5),
    "atlas to native space": Needs(0.05, 1.2, 0.7, 0.8),
    "reference region to native space": Needs(0.05, 1.2, 0.3, 0.8),
    "regional volumes": Needs(0.05, 1.1, 0.01, 0.8),
    "T1w in template space": Needs(0.2, 1.5, 20),
    "regional grey matter": Needs(0.03, 0.95, 0.8),
    "morphological network": Needs(0.02, 0.8, 0.15),
    "simulated PET": Needs(0.2, 2.0, 10, 0.8),
    "head motion": Needs(1.1, 0.9, 1.5, 1.0),
    "BOLD to T1w": Needs(0.04, 1.0, 0.01),
    "single resampling": Needs(0.23, 1.0, 68, 1.0),
    "BOLD in template space": Needs(0.9, 4.5, 700, 1.0),
    "confounds": Needs(0.03, 0.9, 0.15, 0.3),
    "regional time series": Needs(0.03, 0.9, 0.4, 0.3),
    "functional network": Needs(0.002, 0.8, 0.15),
    "static PET": Needs(0.01, 0.8, 3, 0.5),
    "PET to T1w": Needs(0.06, 1.0, 0.01),
    "SUVR": Needs(0.03, 0.9, 2),
    "PET in template space": Needs(0.05, 1.0, 3),
    "regional uptake": Needs(0.02, 0.8, 1),
    "metabolic network": Needs(0.02, 0.8, 0.15),
    "network measures": Needs(0.015, 0.8, 1.2),
    "report": Needs(0.27, 1.7, 11),
    "cohort": Needs(0.05, 1.5, 35),
    "staging": Needs(2.0, 2.5, 0.1),
    "model for new participants": Needs(0.3, 2.0, 2),
    "group report": Needs(0.2, 1.5, 1),
    "staging of new participants": Needs(0.1, 1.5, 0.1),
    "staging page": Needs(0.05, 1.0, 0.5),
}


def needs_of(step: str) -> Needs:
    """Return what a step needs, by its name."""
    return NEEDS.get(step, Needs())


def timeout_of(step: str, inputs: Mapping[str, Path]) -> float:
    """Return the minutes after which a step is taken to hang, whatever was chosen for it."""
    known = [each for name, each in NEEDS.items() if name.partition(" (")[0] == step]
    largest = max((unpacked(path) for path in inputs.values()), default=0.0) / 1e6
    size = max(1.0, largest / USUAL["func"])
    return max((each.of(size).timeout for each in known), default=Needs().timeout)


def unpacked(path: Path) -> float:
    """Return the bytes of a file, unpacked, as the end of a gzip file tells; 0 if unreadable."""
    try:
        size = path.stat().st_size
        if not path.name.endswith(".gz"):
            return float(size)
        with path.open("rb") as stream:
            stream.seek(-4, os.SEEK_END)
            told = int.from_bytes(stream.read(4), "little")
    except OSError:
        return 0.0
    return float(told if told >= size else told + (1 << 32) * (1 + (size - told >> 32)))
