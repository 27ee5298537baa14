"""Public labelled networks, fetched: ABIDE, autism and controls from many sites.

The Alzheimer's studies may not be redistributed, so this is the labelled example of measured
networks that anybody can run.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from brainnet.connectome.correlation import pearson
from brainnet.io import DataError, DataWarning

__all__ = ["fetch_abide"]

Atlas = Literal["cc200", "cc400", "aal", "dosenbach160", "ez", "ho", "tt"]
Pipeline = Literal["cpac", "ccs", "dparsf", "niak"]

_ATLASES: Final = ("cc200", "cc400", "aal", "dosenbach160", "ez", "ho", "tt")
_PIPELINES: Final = ("cpac", "ccs", "dparsf", "niak")
_DIAGNOSES: Final = {1: "autism", 2: "control"}
_SEXES: Final = {1: "M", 2: "F"}
_NONE: Final = -9999.0
_COLUMNS: Final = ("SUB_ID", "SITE_ID", "DX_GROUP", "AGE_AT_SCAN", "SEX", "func_mean_fd")


def fetch_abide(
    data_dir: Path | str | None = None,
    *,
    atlas: Atlas = "cc200",
    pipeline: Pipeline = "cpac",
    band_pass_filtering: bool = True,
    quality_checked: bool = True,
    sites: Sequence[str] = (),
    n_subjects: int | None = None,
) -> xr.Dataset:
    """Fetch ABIDE's regional time series and return their correlations as a cohort.

    Parameters
    ----------
    data_dir : path, optional
        Where the files are kept or put; default nilearn's own folder. What is there is not
        fetched again.
    atlas : {"cc200", "cc400", "aal", "dosenbach160", "ez", "ho", "tt"}
        Regions, as the Preprocessed Connectomes Project averaged over them.
    pipeline : {"cpac", "ccs", "dparsf", "niak"}
        Preprocessing, without regression of the global signal.
    band_pass_filtering : bool
        Series filtered to 0.01 to 0.1 Hz, or not.
    quality_checked : bool
        Only subjects that all raters passed.
    sites : sequence of str
        Only these (``SITE_ID``, such as ``NYU``).
    n_subjects : int, optional
        Only the first so many of the list, which goes by site.

    Returns
    -------
    xarray.Dataset
        In the layout of :func:`brainnet.cohort.gather`, of the one modality ``functional``:
        ``edges`` (Pearson correlation), ``coverage`` (1 measured, 0 not), ``values`` (NaN);
        coordinates by subject: ``participant_id``, ``diagnosis`` (``autism``, ``control``),
        ``site``, ``age``, ``sex``, ``motion`` (mean framewise displacement, mm). A region that
        does not vary is NaN. The regions have numbers, no names or places.

    Raises
    ------
    DataError
        The files are not here and cannot be fetched; nobody is left; series of unlike regions.
    ValueError
        An atlas or a pipeline that is not there.

    Warns
    -----
    DataWarning
        Subjects whose series hold nothing are left out.

    References
    ----------
    Di Martino et al. (2014), Mol Psychiatry 19:659. Craddock et al. (2013), Neuroinformatics 2013,
    doi:10.3389/conf.fninf.2013.09.00041.
    """
    if atlas not in _ATLASES:
        raise ValueError(f"atlas must be one of {', '.join(_ATLASES)}; got {atlas!r}.")
    if pipeline not in _PIPELINES:
        raise ValueError(f"pipeline must be one of {', '.join(_PIPELINES)}; got {pipeline!r}.")
    derivative = f"rois_{atlas}"
    fetched = _fetched(
        data_dir,
        derivatives=[derivative],
        pipeline=pipeline,
        band_pass_filtering=band_pass_filtering,
        quality_checked=quality_checked,
        n_subjects=n_subjects,
        **({"SITE_ID": list(sites)} if sites else {}),
    )
    table, series = _measured(fetched["phenotypic"], fetched[derivative])
    networks = np.stack([pearson(each) for each in series])
    filtering = "filt" if band_pass_filtering else "nofilt"
    return _dataset(table, networks, atlas).assign_attrs(
        participants="ABIDE I, Preprocessed Connectomes Project",
        preprocessing=f"{pipeline}, {filtering}_noglobal",
    )


def _fetched(data_dir: Path | str | None, **options: Any) -> Any:
    """What nilearn finds or fetches, or an error that says how to go on without a network."""
    from nilearn.datasets import fetch_abide_pcp

    where = None if data_dir is None else str(data_dir)
    try:
        found = fetch_abide_pcp(data_dir=where, verbose=0, **options)
    except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
        raise DataError(
            data_dir or "ABIDE_pcp",
            f"ABIDE is not all here and cannot be fetched ({type(error).__name__}: {error!s:.80})",
            "Connect to the network, or fetch it where there is one with this same call and give "
            "the folder that then holds ABIDE_pcp as data_dir",
        ) from error
    if len(found["phenotypic"]) == 0:
        raise DataError(
            data_dir or "ABIDE_pcp",
            "nobody in ABIDE is as asked for",
            "Check sites against the column SITE_ID, or give quality_checked=False",
        )
    return found


def _measured(
    table: pd.DataFrame, series: Sequence[NDArray[np.float64]]
) -> tuple[pd.DataFrame, list[NDArray[np.float64]]]:
    """Subjects whose series hold something, and all have the same regions."""
    missing = [name for name in _COLUMNS if name not in table]
    if missing:
        raise DataError(
            "ABIDE_pcp",
            f"the phenotypic table has no column {', '.join(missing)}",
            "Delete the file Phenotypic_V1_0b_preprocessed1.csv and fetch it again",
        )
    subjects = [f"{int(each):07d}" for each in table["SUB_ID"]]
    sizes = {name: each.shape[-1] for name, each in zip(subjects, series, strict=True)}
    usual = max(set(sizes.values()), key=list(sizes.values()).count)
    unlike = [f"{name} ({size})" for name, size in sizes.items() if size != usual]
    if unlike:
        raise DataError(
            "ABIDE_pcp",
            f"the time series have {usual} regions, but not those of {', '.join(unlike[:5])}",
            "Delete their files and fetch them again",
        )
    varies = [each.ndim == 2 and len(each) > 2 and np.ptp(each, axis=0).any() for each in series]
    if not all(varies):
        lost = [name for name, good in zip(subjects, varies, strict=True) if not good]
        warnings.warn(
            f"the time series of {len(lost)} subjects of ABIDE hold nothing; they are left out: "
            f"{', '.join(lost[:5])}.",
            DataWarning,
            stacklevel=3,
        )
    kept = table.assign(subject=subjects)[varies].reset_index(drop=True)
    return kept, [np.asarray(each) for each, good in zip(series, varies, strict=True) if good]


def _dataset(table: pd.DataFrame, networks: NDArray[np.float64], atlas: str) -> xr.Dataset:
    """Label the networks."""
    n_subjects, n_regions = networks.shape[:2]
    names = [f"{atlas}_{number + 1:03d}" for number in range(n_regions)]
    measured = np.isfinite(networks.diagonal(axis1=1, axis2=2))[:, np.newaxis]
    place = ("subject", "modality", "region")
    columns = {
        "participant_id": [f"sub-{each}" for each in table["subject"]],
        "diagnosis": [_DIAGNOSES[int(each)] for each in table["DX_GROUP"]],
        "site": table["SITE_ID"].astype(str).to_numpy(dtype=str),
        "age": _numbers(table["AGE_AT_SCAN"]),
        "sex": [_SEXES.get(int(each), "n/a") for each in table["SEX"]],
        "motion": _numbers(table["func_mean_fd"]),
    }
    return xr.Dataset(
        {
            "edges": ((*place, "region_to"), networks[:, np.newaxis]),
            "coverage": (place, measured.astype(np.float64)),
            "values": (place, np.full((n_subjects, 1, n_regions), np.nan)),
        },
        coords={
            "subject": table["subject"].tolist(),
            "modality": ["functional"],
            "region": names,
            "region_to": names,
            **{name: ("subject", column) for name, column in columns.items()},
        },
        attrs={"atlas": atlas, "space": "n/a", "simulated": 0, "kinds": "pearson"},
    )


def _numbers(column: pd.Series) -> NDArray[np.float64]:
    """Column of numbers, NaN where ABIDE has -9999 or nothing."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    return np.where(numbers == _NONE, np.nan, numbers)
