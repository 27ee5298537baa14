"""A cohort of simulated networks, for learning with known truth and without images."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from brainnet.atlas import Atlas, load
from brainnet.modalities import MODALITIES
from brainnet.simulate.connectome import PlantedNetwork, plant_network
from brainnet.simulate.disease import regional, severity

Floats = NDArray[np.float64]

_SPREAD: Final = 0.15  # standard deviation of severity within a stage: stages overlap
_SAMPLES: Final = 100  # degrees of freedom of a functional network: a run of about nine minutes
_SITE_SHIFT: Final = 0.03  # functional edges of the second site
_SIGNAL_LOSS: Final = ("frontalpole", "temporalpole", "orbitofrontal", "Cerebellum", "entorhinal")


def simulate_cohort(
    n_subjects: int = 200,
    *,
    stages: Sequence[str] = ("CN", "EMCI", "LMCI", "AD"),
    atlas: str | Atlas = "DesikanKilliany",
    seed: int = 0,
) -> xr.Dataset:
    """Return a simulated cohort in the layout of `brainnet.cohort.gather`.

    Each subject has a severity around its stage's, so that neighbouring stages overlap. Damaged
    hubs and modules lose functional edges with it; grey matter and FDG uptake fall where the
    disease table says, and the similarity networks follow.

    Parameters
    ----------
    n_subjects : int
        At least the number of stages; the stages are as equal in size as can be.
    stages : sequence of str
        From CN, SMC, EMCI, LMCI, AD.
    atlas : str or Atlas
        Regions of the networks.
    seed : int
        The same seed gives the same cohort.

    Returns
    -------
    xarray.Dataset
        ``edges`` (subject, modality, region, region_to), ``coverage`` and ``values`` (subject,
        modality, region) as `brainnet.cohort.gather` documents them, coordinates ``stage``,
        ``age``, ``sex``, ``site`` by subject, and of the truth: ``true_severity`` (subject),
        ``hub`` and ``damaged_hub`` (region). Attribute ``simulated`` is 1; ``damaged_hubs``
        names the hubs. In about a tenth of subjects a few regions are unmeasured in function:
        coverage below 0.5, edges NaN.

    Raises
    ------
    ValueError
        If a stage is unknown or there are fewer subjects than stages.

    Examples
    --------
    >>> cohort = simulate_cohort(8)
    >>> dict(cohort.edges.sizes)
    {'subject': 8, 'modality': 3, 'region': 84, 'region_to': 84}
    """
    if n_subjects < len(stages):
        raise ValueError(
            f"n_subjects must be at least {len(stages)}, one a stage; got {n_subjects}."
        )
    chosen = load(atlas) if isinstance(atlas, str) else atlas
    rng = np.random.default_rng([seed, 7])
    people = _people(n_subjects, stages, rng)
    table = regional(chosen)
    shape = (n_subjects, len(MODALITIES), chosen.n_regions)
    edges = np.empty((*shape, chosen.n_regions))
    coverage, values = np.ones(shape), np.full(shape, np.nan)
    sizes = _volumes(chosen)
    amounts = people["true_severity"].to_numpy(dtype=np.float64)
    shifts = np.where(people["site"] == "B", _SITE_SHIFT, 0.0)
    for row, amount in enumerate(amounts):
        network = plant_network(chosen, amount=float(amount), seed=int(rng.integers(2**31)))
        networks, regionals = _subject(network, table, sizes, float(amount), rng)
        networks["functional"] += shifts[row]
        for column, name in enumerate(MODALITIES):
            edges[row, column] = networks[name]
            values[row, column] = regionals.get(name, np.nan)
            coverage[row, column] = 1.0 - rng.uniform(0.0, 0.03, chosen.n_regions)
    _lose_signal(edges, coverage, chosen.names, rng)
    edges[..., range(chosen.n_regions), range(chosen.n_regions)] = 0.0
    return _dataset(chosen, people, plant_network(chosen), (edges, coverage, values))


def _people(n_subjects: int, stages: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    """Stage, age, sex, site and severity of each subject, in random order of stage."""
    stage = rng.permutation([stages[number % len(stages)] for number in range(n_subjects)])
    centre = np.array([severity(str(each)) for each in stage])
    amount = np.clip(centre + _SPREAD * rng.standard_normal(n_subjects), 0.0, 1.0)
    age = np.rint(69 + 4 * centre + 6 * rng.standard_normal(n_subjects)).astype(int)
    width = max(3, len(str(n_subjects)))
    return pd.DataFrame(
        {
            "subject": [f"{number + 1:0{width}d}" for number in range(n_subjects)],
            "stage": stage,
            "age": age,
            "sex": rng.choice(["F", "M"], n_subjects),
            "site": rng.choice(["A", "B"], n_subjects),
            "true_severity": amount,
        }
    )


def _subject(
    network: PlantedNetwork,
    table: pd.DataFrame,
    sizes: Floats,
    amount: float,
    rng: np.random.Generator,
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """One subject's networks, and volumes (ml) and uptake ratios by region."""
    n_regions = len(table)
    samples = rng.standard_normal((_SAMPLES, n_regions)) @ np.linalg.cholesky(network.correlation).T
    kept = 1.0 - 0.3 * amount * table["atrophy"].to_numpy()
    volume = sizes * kept * rng.normal(1.0, 0.1) * rng.normal(1.0, 0.07, n_regions)
    loss = amount * table["hypometabolism"].to_numpy()
    uptake = table["uptake"].to_numpy() * (1.0 - loss) * rng.normal(1.0, 0.09, n_regions)
    density = kept + rng.normal(0.0, 0.12, n_regions)
    networks = {
        "functional": _correlation(samples),
        "morphological": _similarity(density, 0.3, rng),
        "metabolic": _similarity(uptake, 0.3, rng),
    }
    return networks, {"morphological": volume, "metabolic": uptake}


def _correlation(samples: Floats) -> Floats:
    """Sample correlation, symmetric to the last bit."""
    found = np.corrcoef(samples.T)
    return np.asarray((found + found.T) / 2)


def _similarity(profile: Floats, scale: float, rng: np.random.Generator) -> Floats:
    """Similarity in 0..1 that falls with the difference of two regions' values."""
    difference = np.abs(profile[:, np.newaxis] - profile)
    noise = np.triu(rng.normal(0.0, 0.06, difference.shape), 1)
    return np.asarray(np.clip(np.exp(-difference / scale) + noise + noise.T, 0.0, 1.0))


def _volumes(atlas: Atlas) -> Floats:
    """Volume of each region of the atlas in ml."""
    data = np.asanyarray(atlas.labels_img.dataobj).ravel()
    counts = np.bincount(data.astype(np.int64))
    voxel = abs(float(np.linalg.det(atlas.labels_img.affine[:3, :3]))) / 1000.0
    return np.asarray(counts[atlas.indices] * voxel)


def _lose_signal(
    edges: Floats, coverage: Floats, names: Sequence[str], rng: np.random.Generator
) -> None:
    """Leave regions at the edge of the field of view unmeasured in some functional runs."""
    likely = [row for row, name in enumerate(names) if any(each in name for each in _SIGNAL_LOSS)]
    column = list(MODALITIES).index("functional")
    for subject in np.flatnonzero(rng.random(len(edges)) < 0.1):
        lost = rng.choice(likely or len(names), size=int(rng.integers(1, 4)), replace=False)
        coverage[subject, column, lost] = rng.uniform(0.0, 0.45, len(lost))
        edges[subject, column, lost, :] = np.nan
        edges[subject, column, :, lost] = np.nan


def _dataset(
    atlas: Atlas,
    people: pd.DataFrame,
    planted: PlantedNetwork,
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
        "participant_id": ("subject", [f"sub-{each}" for each in people["subject"]]),
        "hub": ("region", planted.hubs.astype(np.int64)),
        "damaged_hub": ("region", planted.damaged.astype(np.int64)),
    }
    for name in ("stage", "age", "sex", "site", "true_severity"):
        column = people[name]
        numeric = pd.api.types.is_numeric_dtype(column)
        coords[name] = ("subject", column.to_numpy() if numeric else column.to_numpy(dtype=str))
    for name in ("hemisphere", "network"):
        coords[name] = ("region", regions[name].to_numpy(dtype=str))
    for name in ("x", "y", "z"):
        coords[name] = ("region", regions[name].to_numpy(dtype=np.float64))
    damaged = [name for name, each in zip(atlas.names, planted.damaged, strict=True) if each]
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
