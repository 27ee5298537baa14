"""A cohort of simulated networks, for learning with known truth and without images.

The standing benchmark: what an estimator recovers is measured against what was planted. Every
number here and in the modules beside it is a choice of this simulation, in the order of what the
literature reports; no score on it says how well patients are staged.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from brainnet.atlas import Atlas, load
from brainnet.modalities import MODALITIES
from brainnet.simulate.damage import DAMAGE, PLANTED_IN, planted_regions, region_damage
from brainnet.simulate.disease import STAGES
from brainnet.simulate.function import functional_networks
from brainnet.simulate.missing import lose_signal, missing_modalities
from brainnet.simulate.options import Design, Effects, Missing, Sites
from brainnet.simulate.parcellation import parcellation
from brainnet.simulate.people import simulate_people
from brainnet.simulate.scanners import Scanners, simulate_scanners
from brainnet.simulate.tissue import regional_values, similarity_networks, tissue_profiles

__all__ = ["Design", "Effects", "Missing", "Sites", "parcellation", "simulate_cohort"]

Floats = NDArray[np.float64]

_EFFECTS: Final = Effects()
_DESIGN: Final = Design()
_SITES: Final = Sites()
_MISSING: Final = Missing()
_TISSUES: Final = ("morphological", "metabolic")
_BY_SUBJECT: Final = (
    "stage", "age", "sex", "site", "motion", "icv", "session", "years", "converted",
    "conversion_years", "true_severity", "true_slope", "true_subtype",
)  # fmt: skip


def simulate_cohort(
    n_subjects: int = 200,
    *,
    stages: Sequence[str] = ("CN", "EMCI", "LMCI", "AD"),
    atlas: str | Atlas = "DesikanKilliany",
    effects: Effects = _EFFECTS,
    design: Design = _DESIGN,
    sites: Sites = _SITES,
    missing: Missing = _MISSING,
    seed: int = 0,
) -> xr.Dataset:
    """Return a simulated cohort in the layout of `brainnet.cohort.gather`.

    Each subject has a severity around its stage's, so that neighbouring stages overlap, a
    subtype (typical, limbic-predominant, hippocampal-sparing) and factors of its own. Damaged
    hubs lose their shared signal, the posterior default and temporal limbic regions the
    coherence of their subsystem, and grey matter and FDG uptake fall where the disease table
    says; the similarity networks follow. Other regions lose exactly nothing. Age, sex, site and
    motion act on top.

    Each option has draws of its own: the same seed with other sites, or with something missing,
    gives the same people.

    Parameters
    ----------
    n_subjects : int
        At least the number of stages; the stages are as equal in size as can be.
    stages : sequence of str
        From CN, SMC, EMCI, LMCI, AD.
    atlas : str or Atlas
        Regions of the networks; :func:`parcellation` makes any number.
    effects : Effects
        Sizes of what is planted; default moderate.
    design : Design
        Visits, follow-up, age.
    sites : Sites
        Scanners and motion, and how far they go with the stage.
    missing : Missing
        Modalities and regions that were not measured.
    seed : int
        The same seed gives the same cohort.

    Returns
    -------
    xarray.Dataset
        ``edges`` (subject, modality, region, region_to), ``coverage`` and ``values`` (subject,
        modality, region) as `brainnet.cohort.gather` documents them; a row of ``subject`` is a
        visit. Coordinates by subject: ``participant_id``, ``session``, ``years`` (since the
        first visit), ``stage``, ``age``, ``sex``, ``site``, ``motion`` (mean framewise
        displacement, mm), ``icv`` (ml), ``converted`` (1, 0) and ``conversion_years`` (since the
        first visit, to conversion or the last diagnosis), both NaN but for MCI.

        Of the truth, by subject: ``true_severity``, ``true_slope`` (a year), ``true_subtype``;
        by region: ``hub``, ``damaged_hub``, ``system``, and 1 where planted:
        ``planted_hub``, ``planted_disconnection``, ``planted_atrophy``,
        ``planted_hypometabolism``; ``planted`` (modality, region) puts them together; and
        ``true_damage`` (subject, modality, region), the share lost. Attribute ``simulated`` is
        1; ``damaged_hubs`` names the hubs, ``effects`` the sizes. In a share of subjects a few
        regions are unmeasured in function: coverage below 0.5, edges NaN.

    Raises
    ------
    ValueError
        If a stage is unknown, there are fewer subjects than stages, or the shares missing leave
        a subject nothing.

    Examples
    --------
    >>> cohort = simulate_cohort(8)
    >>> dict(cohort.edges.sizes)
    {'subject': 8, 'modality': 3, 'region': 84, 'region_to': 84}
    >>> few = simulate_cohort(8, atlas=parcellation(20), missing=Missing({"metabolic": 0.5}))
    >>> few.edges.isnull().all(["region", "region_to"]).sum("subject").values.tolist()
    [0, 0, 4]
    """
    if n_subjects < len(stages):
        raise ValueError(
            f"n_subjects must be at least {len(stages)}, one a stage; got {n_subjects}."
        )
    chosen = load(atlas) if isinstance(atlas, str) else atlas
    draws = [np.random.default_rng([seed, 7, number]) for number in range(8)]
    people = simulate_people(n_subjects, stages, design, sites, draws[0])
    number = {name: row for row, name in enumerate(map(chr, range(ord("A"), ord("Z") + 1)))}
    people = people.assign(
        site_number=[number[each] for each in people["site"]],
        nuisance_motion=sites.motion * people["motion"],
        ageing=design.ageing,
    )
    table = planted_regions(chosen)
    damage = region_damage(table, people, effects, draws[1])
    scanners = simulate_scanners(chosen, sites, draws[2])
    edges, values = _measure(chosen, table, people, damage, scanners, draws[3:6])
    coverage = 1.0 - draws[6].uniform(0.0, 0.03, values.shape)
    function = list(MODALITIES).index("functional")
    lose_signal(
        edges[:, function], coverage[:, function], chosen.names, missing.signal_loss, draws[6]
    )
    diagonal = np.arange(chosen.n_regions)
    edges[..., diagonal, diagonal] = 0.0
    absent = missing_modalities(people, list(MODALITIES), missing, STAGES, draws[7])
    for array in (edges, values, coverage):
        array[absent] = np.nan
    truth = _truth(table, damage, effects)
    dataset = _dataset(chosen, people, truth, (edges, coverage, values))
    return dataset.assign_attrs(effects=str(effects))


def _measure(
    atlas: Atlas,
    table: pd.DataFrame,
    people: pd.DataFrame,
    damage: dict[str, Floats],
    scanners: Scanners,
    draws: Sequence[np.random.Generator],
) -> tuple[Floats, Floats]:
    """Networks and regional values of every visit."""
    shape = (len(people), len(MODALITIES), atlas.n_regions)
    edges, values = np.zeros((*shape, atlas.n_regions)), np.full(shape, np.nan)
    columns = {name: column for column, name in enumerate(MODALITIES)}
    site = people["site_number"].to_numpy(dtype=np.int64)
    edges[:, columns["functional"]] = functional_networks(
        atlas, table, people, damage, scanners, draws[0]
    )
    for row, name in enumerate(_TISSUES):
        lost = damage["atrophy" if name == "morphological" else "hypometabolism"]
        profiles = tissue_profiles(atlas, table, people, lost, scanners, name, draws[1 + row])
        edges[:, columns[name]] = similarity_networks(
            profiles, scanners.blur[row, site], draws[1 + row]
        )
        values[:, columns[name]] = regional_values(atlas, table, people, profiles, name)
    return edges, values


def _truth(
    table: pd.DataFrame, damage: dict[str, Floats], effects: Effects
) -> dict[str, tuple[tuple[str, ...], NDArray]]:
    """Coordinates that say what was planted; nothing is where the effect has no size."""
    size = dict(zip(DAMAGE, asdict(effects).values(), strict=False))
    there = {name: (table[name].to_numpy() > 0) & (size[name] > 0) for name in DAMAGE}
    planted = [np.any([there[each] for each in PLANTED_IN[name]], axis=0) for name in MODALITIES]
    lost = [np.max([damage[each] for each in PLANTED_IN[name]], axis=0) for name in MODALITIES]
    return {
        **{f"planted_{name}": (("region",), there[name].astype(np.int64)) for name in DAMAGE},
        "planted": (("modality", "region"), np.array(planted, dtype=np.int64)),
        "true_damage": (("subject", "modality", "region"), np.stack(lost, axis=1)),
        "hub": (("region",), (table["hub_kind"].to_numpy() > 0).astype(np.int64)),
        "damaged_hub": (("region",), there["hub"].astype(np.int64)),
        "system": (("region",), table["system"].to_numpy(dtype=str)),
    }


def _dataset(
    atlas: Atlas,
    people: pd.DataFrame,
    truth: dict[str, tuple[tuple[str, ...], NDArray]],
    arrays: tuple[Floats, Floats, Floats],
) -> xr.Dataset:
    """Label the arrays."""
    place = ("subject", "modality", "region")
    regions = atlas.regions
    coords: dict[str, Any] = {
        "subject": people["subject"].tolist(),
        "modality": list(MODALITIES),
        "region": atlas.names,
        "region_to": atlas.names,
        "participant_id": ("subject", [f"sub-{each}" for each in people["participant"]]),
        **truth,
    }
    for name in _BY_SUBJECT:
        column = people[name]
        numeric = pd.api.types.is_numeric_dtype(column)
        coords[name] = ("subject", column.to_numpy() if numeric else column.to_numpy(dtype=str))
    for name in ("hemisphere", "network"):
        coords[name] = ("region", regions[name].to_numpy(dtype=str))
    for name in ("x", "y", "z"):
        coords[name] = ("region", regions[name].to_numpy(dtype=np.float64))
    damaged = [
        name for name, each in zip(atlas.names, truth["damaged_hub"][1], strict=True) if each
    ]
    return xr.Dataset(
        {
            "edges": ((*place, "region_to"), arrays[0]),
            "coverage": (place, arrays[1]),
            "values": (place, arrays[2]),
        },
        coords=coords,
        attrs={
            "atlas": atlas.name,
            "space": atlas.space,
            "simulated": 1,
            "participants": "simulated",
            "damaged_hubs": ", ".join(damaged),
        },
    )
