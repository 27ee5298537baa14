"""A cohort as a netCDF-3 file, whatever the participants table calls its columns."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from brainnet import io
from brainnet.io import DataError

_NAME = re.compile(r"(?!string|column_\d)[A-Za-z_][A-Za-z0-9_]*")
_TYPES = frozenset({
    "byte", "char", "short", "ushort", "int", "uint", "int64", "uint64", "float", "real",
    "double", "bool",
})  # fmt: skip  # names that netCDF keeps for itself
_INT32 = np.iinfo(np.int32).max
_EXACT = 2**53  # whole numbers up to here are exact in float64


def save(dataset: xr.Dataset, path: Path | str) -> Path:
    """Write a cohort as a netCDF-3 file; the same cohort gives the same bytes.

    Parameters
    ----------
    dataset : xarray.Dataset
        As :func:`gather` returns it. Text with missing entries is written with ``n/a``, truth
        values as 0 and 1, whole numbers beyond 32 bits as float64, or as text beyond 2^53. A
        column whose name netCDF does not allow is called ``column_1`` and so on in the file,
        with its own name in the attribute ``long_name``; :func:`load` gives it back.
    path : path
        A ``.nc`` file, which any netCDF or xarray installation reads.

    Returns
    -------
    Path
        `path`.
    """
    plain = dataset.copy()
    for name, each in dataset.variables.items():
        plain[name] = (each.dims, _storable(each.values), each.attrs)
    strange = [name for name in plain.variables if not _allowed(str(name))]
    for name in strange:
        plain[name].attrs["long_name"] = str(name)
    plain = plain.rename({name: f"column_{i}" for i, name in enumerate(strange, start=1)})
    plain.attrs = {
        key: int(value) if isinstance(value, bool) else value
        for key, value in sorted(dataset.attrs.items(), key=str)
    }
    return io.save_bytes(bytes(plain.to_netcdf(engine="scipy", format="NETCDF3_64BIT")), path)


def load(path: Path | str) -> xr.Dataset:
    """Return a cohort as :func:`save` wrote it, in memory, after checking the whole of it.

    Raises
    ------
    DataError
        No such file, not netCDF, cut short, or not a cohort.
    """
    path = Path(path)
    remedy = "Gather the cohort again"
    if not path.is_file():
        raise DataError(path, "there is no such file", remedy)
    try:
        with xr.open_dataset(path, engine="scipy") as opened:
            dataset = opened.load()
    except Exception as error:
        raise DataError(path, f"is not a whole netCDF file ({error})", remedy) from error
    if "edges" not in dataset or "modality" not in dataset.coords:
        raise DataError(path, "holds no cohort (no 'edges' by 'modality')", remedy)
    own = {
        name: str(each.attrs.pop("long_name"))
        for name, each in dataset.variables.items()
        if re.fullmatch(r"column_\d+", str(name)) and "long_name" in each.attrs
    }
    columns = [name for name, each in dataset.data_vars.items() if each.dims == ("subject",)]
    return dataset.set_coords(columns).rename(own)


def _allowed(name: str) -> bool:
    """Say whether any netCDF program takes the name, and xarray as that of a coordinate."""
    return _NAME.fullmatch(name) is not None and name not in _TYPES


def _storable(values: NDArray) -> NDArray:
    """Return values as one of the types that netCDF-3 has."""
    if values.dtype.kind in "OUT":
        return np.where(pd.isna(values), "n/a", values.astype(object)).astype(str)
    if values.dtype.kind == "b":
        return values.astype(np.int32)
    if values.dtype.kind in "iu" and values.size and abs(values.astype(object)).max() > _INT32:
        exact = abs(values.astype(object)).max() <= _EXACT
        return values.astype(np.float64) if exact else values.astype(str)
    return values
