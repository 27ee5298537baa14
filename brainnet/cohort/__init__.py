"""One labelled dataset of a whole cohort, gathered from the participants' results.

What cannot be used as it stands is refused with the file's name; what is merely missing stays
NaN, and what was chosen on the user's behalf is said in a warning.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from brainnet import atlas as atlases
from brainnet import io
from brainnet.cohort.files import Sources, sources
from brainnet.cohort.netcdf import load, save
from brainnet.cohort.stages import STAGES, read_stages, stage_order
from brainnet.cohort.tables import mean_network, mean_regional, participants_table, words
from brainnet.cohort.visits import baseline, check_visits, conversion
from brainnet.connectome.kinds import first_kinds
from brainnet.io import DataError, DataWarning
from brainnet.modalities import MODALITIES

__all__ = [
    "STAGES", "Sources", "baseline", "check_visits", "column_name", "conversion", "gather", "load",
    "participants_table", "read_stages", "resolve_nan", "save", "sources", "stage_order", "words",
]  # fmt: skip

_REGION_COLUMNS = ("hemisphere", "network", "x", "y", "z")
_OWN_NAMES = frozenset({
    "subject", "modality", "region", "region_to", "edges", "coverage", "values", "simulated",
    *_REGION_COLUMNS,
})  # fmt: skip


def gather(
    out_dir: Path | str,
    participants: pd.DataFrame | Path | str | None = None,
    *,
    atlas: str | atlases.Atlas = "DesikanKilliany",
    session: str | None = None,
    kinds: str | Sequence[str] = (),
) -> xr.Dataset:
    """Read every participant's networks into one dataset.

    Of several networks of one modality and session, runs of one task are averaged (functional:
    :math:`tanh` of the mean of Fisher's z, each run counting the same, an edge unmeasured in one
    run taken from the others); among several tasks ``rest``, and otherwise the first by name, is
    taken, and the warning says so, as it does where the runs differ in ``acq``, ``dir`` and the
    like. A measured scan goes before a simulated one. Whose last run failed is left out: what
    stands in the folder may be of an earlier one.

    Parameters
    ----------
    out_dir : path
        Top of the derivatives dataset that the participant workflow wrote.
    participants : DataFrame or path, optional
        Table with a column ``participant_id`` (``sub-01`` and ``01`` are the same) and one row a
        participant; default ``participants.tsv`` in `out_dir`, none if it is not there. Its
        other columns become coordinates of ``subject``; one that bears a name of the dataset's
        own, such as ``network``, is called ``participant_network`` (:func:`column_name`).
    atlas : str or Atlas
        Whose networks to take (``seg-<name>`` in file names).
    session : str, optional
        Session label (with or without ``ses-``). By default each participant's first one by
        name with function or PET, with a warning where there are more: visits years apart are
        not averaged. One without a morphological network has that of another session, which
        the warning says.
    kinds : str or sequence of str
        Kinds of edges to take (``connectome.kinds.KINDS``), one for time series and one for
        samples; default ``pearson`` and ``js``.

    Returns
    -------
    xarray.Dataset
        Dimensions ``subject``, ``modality`` (functional, morphological, metabolic), ``region``,
        ``region_to``. ``edges`` (subject, modality, region, region_to): correlation in -1..1 or
        similarity in 0..1, zero diagonal. ``coverage`` (subject, modality, region): measured
        share, 0..1. ``values`` likewise: grey-matter volume (ml), mean SUVR, NaN for functional.
        All NaN where not measured. ``simulated`` (subject, modality): 1 where a network was made
        from simulated data, as its sidecar or the description of the dataset says. Attributes
        ``atlas``, ``space``, ``simulated`` (1 if any network is, else 0), ``participants``
        (name of the table) and ``kinds`` (of edges: of time series, of samples).

    Raises
    ------
    DataError
        No networks of that atlas, session or kind; a table whose regions are not the atlas's, in
        order; a network that is not symmetric; a participants table without ``participant_id``
        or with a participant twice.

    Warns
    -----
    DataWarning
        Participants in the table without networks (left out) and the reverse (kept, columns
        missing); participants that failed (left out); simulated networks among measured ones; a
        choice among sessions, tasks or tracers; a column that is renamed.
    """
    out_dir = Path(out_dir)
    chosen = atlases.load(atlas) if isinstance(atlas, str) else atlas
    session = None if session is None else session.removeprefix("ses-")
    found = sources(out_dir, chosen.name, session, kinds=kinds)
    table, source = participants_table(out_dir, participants, session)
    wholly = _is_simulated(out_dir)
    _tell(found, wholly)
    _reconcile(found, table, source)
    subjects = sorted(found.networks)
    shape = (len(subjects), len(MODALITIES), chosen.n_regions)
    edges, regional = np.full((*shape, chosen.n_regions), np.nan), np.full((2, *shape), np.nan)
    for row, subject in enumerate(subjects):
        for column, modality in enumerate(MODALITIES):
            paths = found.networks[subject].get(modality, [])
            if paths:
                edges[row, column] = mean_network(paths, chosen.names)
                regional[:, row, column] = mean_regional(paths, modality, chosen.names)
    region = ("subject", "modality", "region")
    dataset = xr.Dataset(
        {
            "edges": ((*region, "region_to"), edges),
            "coverage": (region, regional[0]),
            "values": (region, regional[1]),
            "simulated": (region[:2], _simulated(found, subjects, wholly)),
        },
        coords=_coordinates(subjects, chosen),
        attrs={
            "atlas": chosen.name,
            "space": chosen.space,
            "simulated": int(wholly or bool(found.simulated)),
            "participants": source,
            "kinds": ", ".join(kind.name for kind in first_kinds(kinds).values()),
        },
    )
    dataset = dataset.assign_coords(participant_id=("subject", [f"sub-{s}" for s in subjects]))
    return dataset if table is None else _with_columns(dataset, table, source)


def resolve_nan(
    dataset: xr.Dataset, policy: Literal["impute", "drop", "fail"] = "impute"
) -> xr.Dataset:
    """Say, once and on record, what becomes of what was not measured.

    Parameters
    ----------
    dataset : xarray.Dataset
        As :func:`gather` returns it.
    policy : {"impute", "drop", "fail"}
        ``impute``: nothing changes here; each model fills with the medians of its own training
        subjects (:class:`brainnet.models.edges.EdgeImputer`), so nothing is learned across a
        split. ``drop``: regions that any subject lacks in any modality it has are taken out for
        the whole cohort; looks at what is missing, never at values or stages. ``fail``: any
        missing edge is an error.

    Returns
    -------
    xarray.Dataset
        With the attribute ``nan_policy`` and, for ``drop``, ``dropped_regions``.

    Raises
    ------
    ValueError
        Unknown policy; ``fail`` and something is missing; ``drop`` and a subject lacks a whole
        modality, or fewer than two regions remain.

    Examples
    --------
    >>> edges = np.ones((1, 1, 3, 3)); edges[0, 0, 2, :] = edges[0, 0, :, 2] = np.nan
    >>> names = ["a", "b", "c"]
    >>> cohort = xr.Dataset(
    ...     {"edges": (("subject", "modality", "region", "region_to"), edges)},
    ...     coords={"subject": ["01"], "modality": ["functional"],
    ...             "region": names, "region_to": names})
    >>> resolve_nan(cohort, "drop").region.values.tolist()
    ['a', 'b']
    """
    if policy not in ("impute", "drop", "fail"):
        raise ValueError(f"policy must be 'impute', 'drop' or 'fail'; got {policy!r}.")
    absent = _unmeasured(dataset["edges"].values)  # (subject, modality, region)
    whole = absent.all(axis=2)
    if policy == "fail" and absent.any():
        raise ValueError(f"policy 'fail' wants every edge measured; {_what_lacks(dataset, absent)}")
    kept = dataset
    if policy == "drop":
        if whole.any():
            raise ValueError(
                f"policy 'drop' drops regions, not modalities; {_what_lacks(dataset, absent)}"
            )
        lacking = absent.any(axis=(0, 1))
        if (~lacking).sum() < 2:
            raise ValueError(
                f"policy 'drop' leaves {(~lacking).sum()} of {lacking.size} regions; leave out "
                "the subjects with little coverage, or choose 'impute'."
            )
        names = dataset["region"].values[lacking].astype(str)
        kept = dataset.isel(region=~lacking, region_to=~lacking)
        kept = kept.assign_attrs(dropped_regions=", ".join(names))
    return kept.assign_attrs(nan_policy=policy)


def column_name(name: str) -> str:
    """Return what a column of the participants table is called in a cohort.

    Examples
    --------
    >>> column_name("stage"), column_name("network")
    ('stage', 'participant_network')
    """
    return f"participant_{name}" if name in _OWN_NAMES else name


def _warn(text: str) -> None:
    """Warn whoever called the public function."""
    warnings.warn(text, DataWarning, stacklevel=4)


def _tell(found: Sources, wholly: bool) -> None:
    """Warn of what was chosen, of who failed, and of simulated networks among measured ones."""
    for note in found.notes:
        _warn(note)
    if found.failed:
        reasons = "; ".join(f"sub-{label} ({why})" for label, why in found.failed.items())
        _warn(
            f"{len(found.failed)} participants failed at the participant level and are left out, "
            f"for their networks may be of an earlier run: {reasons}. Mend what failed and run "
            "the participant level for them again."
        )
    if wholly:
        return
    measured = Counter(modality for chosen in found.networks.values() for modality in chosen)
    counts = Counter(modality for _, modality in found.simulated)
    for modality, count in sorted(counts.items()):
        _warn(
            f"the {modality} networks of {count} of {measured[modality]} subjects are SIMULATED, "
            "not measured: no result that uses them says anything of these people. Measure "
            f"{modality} data, or run the participant level without simulation in a new folder."
        )


def _simulated(found: Sources, subjects: list[str], wholly: bool) -> NDArray[np.int8]:
    """Return (subject, modality): 1 where there is a network and it is simulated."""
    flags = np.zeros((len(subjects), len(MODALITIES)), dtype=np.int8)
    for row, subject in enumerate(subjects):
        for column, modality in enumerate(MODALITIES):
            there = modality in found.networks[subject]
            flags[row, column] = there and (wholly or (subject, modality) in found.simulated)
    return flags


def _reconcile(found: Sources, table: pd.DataFrame | None, source: str) -> None:
    """Warn of participants that stand on one side only."""
    if table is None:
        _warn(
            f"there is no {source}: subjects have networks but no columns such as stage. "
            "Pass the participants table."
        )
        return
    without = sorted(set(table.index) - set(found.networks) - set(found.failed))
    unknown = sorted(set(found.networks) - set(table.index))
    if without:
        _warn(
            f"{source}: {len(without)} participants have no networks and are left out: "
            f"{', '.join(without)}. Run the participant workflow for them."
        )
    if unknown:
        _warn(
            f"{source}: {len(unknown)} subjects with networks are not in the table, so their "
            f"columns are missing: {', '.join(unknown)}. Add their rows."
        )


def _coordinates(subjects: list[str], atlas: atlases.Atlas) -> dict[str, object]:
    """Return subject, modality and what the atlas knows of each region."""
    regions = atlas.regions
    known = {name: ("region", _plain(regions[name])) for name in _REGION_COLUMNS}
    return {
        "subject": subjects,
        "modality": list(MODALITIES),
        "region": atlas.names,
        "region_to": atlas.names,
        **known,
    }


def _with_columns(dataset: xr.Dataset, table: pd.DataFrame, source: str) -> xr.Dataset:
    """Add the table's columns as coordinates of the subjects."""
    rows = table.reindex(dataset["subject"].values).drop(columns="participant_id")
    renamed = {name: column_name(str(name)) for name in rows.columns}
    changed = [f"{old} to {new}" for old, new in renamed.items() if old != new]
    if changed:
        _warn(
            f"{source}: the cohort needs some of its columns' names for itself, so these are "
            f"renamed: {', '.join(changed)}. Rename them in the table to choose."
        )
    twice = sorted(name for name, count in Counter(renamed.values()).items() if count > 1)
    if twice:
        raise DataError(source, f"has more than one column for {', '.join(twice)}", "Rename one")
    return dataset.assign_coords(
        {name: ("subject", _plain(rows[old])) for old, name in renamed.items()}
    )


def _plain(column: pd.Series) -> NDArray:
    """Return numbers as float, whole numbers as int, anything else as text (missing: n/a)."""
    if pd.api.types.is_bool_dtype(column):
        return words(column)
    if pd.api.types.is_integer_dtype(column) and not column.hasnans:
        return column.to_numpy(dtype=np.int64)
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return words(column)


def _is_simulated(out_dir: Path) -> bool:
    """Say whether the description of the dataset says so."""
    path = out_dir / "dataset_description.json"
    return path.exists() and "simulated" in str(io.load_json(path).get("Name", "")).lower()


def _unmeasured(edges: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (subject, modality, region): no edge of the region was measured."""
    others = ~np.eye(edges.shape[-1], dtype=bool)
    absent: NDArray[np.bool_] = (np.isnan(edges) | ~others).all(axis=-1)
    return absent


def _what_lacks(dataset: xr.Dataset, absent: NDArray[np.bool_]) -> str:
    """Describe what is missing, and the ways out."""
    whole = np.asarray(absent.all(axis=2))
    parts = [
        f"{name} of {', '.join(dataset['subject'].values[whole[:, each]].astype(str)[:5])}"
        for each, name in enumerate(dataset["modality"].values.astype(str))
        if whole[:, each].any()
    ]
    n_regions = int((absent & ~whole[:, :, None]).any(axis=(0, 1)).sum())
    lacks = [f"missing altogether: {'; '.join(parts)}"] if parts else []
    lacks += [f"{n_regions} regions are unmeasured in some subject"] if n_regions else []
    return (
        f"got {' and '.join(lacks)}. Choose 'impute', or select subjects and modalities that "
        "are complete with dataset.sel."
    )
