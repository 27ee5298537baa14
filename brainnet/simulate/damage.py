"""Where the simulated disease strikes, exactly, and how hard it strikes each subject there."""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainnet.atlas import Atlas
from brainnet.simulate.disease import region_table, regional
from brainnet.simulate.options import Effects

__all__ = ["DAMAGE", "PLANTED_IN", "planted_regions", "region_damage"]

Floats = NDArray[np.float64]

#: the kinds of damage, columns of :func:`planted_regions`
DAMAGE: Final = ("hub", "disconnection", "atrophy", "hypometabolism")
#: which of them each modality shows
PLANTED_IN: Final = {
    "functional": ("hub", "disconnection"),
    "morphological": ("atrophy",),
    "metabolic": ("hypometabolism",),
}
LEAST_ATROPHY: Final = 0.5
"""Vulnerability (`disease.region_table`) from which atrophy is planted; below there is none."""
LEAST_LOSS: Final = 0.15
"""Loss of uptake in the disease table from which hypometabolism is planted; below, none."""

_SYSTEMS: Final = ("default", "limbic")
_SUBTYPE: Final = {"limbic": (1.4, 0.4), "sparing": (0.3, 1.4)}  # limbic regions, others
_OWN: Final = 0.35  # standard deviation of the logarithm of a subject's factor of a region
_MOST: Final = 0.95  # share that any loss leaves untouched at least: 1 - 0.95


def planted_regions(atlas: Atlas) -> pd.DataFrame:
    """Return how vulnerable each region is to each kind of damage.

    Parameters
    ----------
    atlas : Atlas
        In MNI space.

    Returns
    -------
    DataFrame
        One row a region, columns :data:`DAMAGE` (0 where nothing is planted, else up to 1),
        ``hub_kind`` (0 none, 1 hub, 2 hub that is damaged), ``system``, ``uptake``. Planted are

        - ``hub``: the hubs that the disease table marks as damaged;
        - ``disconnection``: regions of the default and limbic systems that are damaged hubs or
          have planted atrophy, that is the posterior default and the temporal limbic subsystem;
        - ``atrophy``: vulnerability of at least :data:`LEAST_ATROPHY`;
        - ``hypometabolism``: loss of at least :data:`LEAST_LOSS`, as a share of the largest.

    Examples
    --------
    >>> from brainnet.atlas import load
    >>> table = planted_regions(load("DesikanKilliany"))
    >>> (table[list(DAMAGE)] > 0).sum().tolist()
    [8, 24, 24, 22]
    """
    table = regional(atlas)
    atrophy = table["atrophy"].to_numpy().round(6)
    loss = table["hypometabolism"].to_numpy().round(6)
    kind, system = table["hub"].to_numpy(), table["system"].to_numpy()
    vulnerable = atrophy >= LEAST_ATROPHY
    worst = float(region_table()["hypometabolism"].max())
    return pd.DataFrame(
        {
            "hub": np.where(kind == 2, 1.0, 0.0),
            "disconnection": np.where(
                np.isin(system, _SYSTEMS) & (vulnerable | (kind == 2)), 1.0, 0.0
            ),
            "atrophy": np.where(vulnerable, atrophy, 0.0),
            "hypometabolism": np.where(loss >= LEAST_LOSS, loss / worst, 0.0),
            "hub_kind": kind,
            "system": system,
            "uptake": table["uptake"].to_numpy(),
        },
        index=atlas.names,
    )


def region_damage(
    table: pd.DataFrame, people: pd.DataFrame, effects: Effects, rng: np.random.Generator
) -> dict[str, Floats]:
    """Return the share that each subject loses in each region, by kind of damage.

    Parameters
    ----------
    table : DataFrame
        As :func:`planted_regions` returns it.
    people : DataFrame
        One row a visit: ``person``, ``true_severity``, ``limbic``, ``sparing``.
    effects : Effects
    rng : Generator
        Of the subjects' own factors; the same at all visits of a subject.

    Returns
    -------
    dict of str to (n_rows, n_regions) array
        For each of :data:`DAMAGE`: severity times vulnerability times the subject's subtype and
        own factor times the size of the effect; exactly 0 where nothing is planted.
    """
    limbic = table["system"].to_numpy() == "limbic"
    pattern = np.ones((len(people), len(table)))
    for name, (inside, outside) in _SUBTYPE.items():
        change = np.where(limbic, inside, outside) - 1.0
        pattern += people[name].to_numpy(dtype=np.float64)[:, np.newaxis] * change
    pattern = 1.0 + effects.heterogeneity * (pattern - 1.0)
    person = people["person"].to_numpy(dtype=np.int64)
    own = rng.standard_normal((int(person.max()) + 1, len(table)))
    spread = _OWN * effects.heterogeneity
    pattern = pattern * np.exp(spread * own - spread**2 / 2)[person]
    amount = people["true_severity"].to_numpy(dtype=np.float64)[:, np.newaxis] * pattern
    size = {
        "hub": effects.hub_loss,
        "disconnection": effects.disconnection,
        "atrophy": effects.atrophy,
        "hypometabolism": effects.hypometabolism,
    }
    return {
        name: np.minimum(size[name] * amount * table[name].to_numpy(), _MOST) for name in DAMAGE
    }
