"""What was explained, as one labelled dataset that can be saved, sorted and put into words."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from brainnet.cohort import netcdf
from brainnet.io import DataError

__all__ = ["Explanation"]

Floats = NDArray[np.float64]

HARDLY = 0.05  # share of a map's whole below which a modality counts as unused


@dataclass(frozen=True, eq=False)
class Explanation:
    """Maps of what mattered to a model, beside how far they can be trusted.

    Attributes
    ----------
    dataset : xarray.Dataset
        ``attribution`` (method, modality, region): mean over the runs (folds and seeds), each on
        its own test subjects; its unit and what it is a summary of stand in the attributes.
        ``spread`` likewise: standard deviation over runs. ``by_run`` (method, run, modality,
        region). ``by_subject`` (method, subject, modality, region). ``parts`` (part, modality,
        region): integrated gradients by kind of input. ``edges`` (edge_method, modality, region,
        region_to). ``leave_out`` (modality): what is lost without the modality. ``measures``
        (modality, measure): what is lost without the measure. ``group_t`` and ``group_d``
        (group_measure, modality, region): plain difference of the two groups in the training
        subjects; ``group_agreement`` (method, group_measure, modality): rank correlation of its
        size with the map's. ``agreement`` (method, over, modality, statistic) and ``stability``
        (method, n_runs). NaN where not measured, or where there is nothing to compare.
    """

    dataset: xr.Dataset

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods."""
        return tuple(str(each) for each in self.dataset["method"].values)

    def to_dataset(self) -> xr.Dataset:
        """Return the dataset."""
        return self.dataset

    def regions(self, method: str | None = None) -> pd.DataFrame:
        """Return every region of every modality, the largest attribution first.

        Parameters
        ----------
        method : str, optional
            The first one by default.

        Returns
        -------
        DataFrame
            ``modality``, ``region``, ``attribution``, ``spread`` (over runs), ``share`` (of the
            sum of absolute attributions over everything), ``rank`` (from 1). What was not
            measured comes last.

        Raises
        ------
        ValueError
            The method is not there.
        """
        own = self._of(method)
        table = own[["attribution", "spread"]].to_dataframe().reset_index()
        size = table["attribution"].abs()
        table["share"] = size / size.sum()
        table = table.assign(size=size).sort_values("size", ascending=False, kind="stable")
        table["rank"] = np.arange(1, len(table) + 1)
        columns = ["modality", "region", "attribution", "spread", "share", "rank"]
        return table[columns].reset_index(drop=True)

    def across_modalities(self, method: str | None = None) -> pd.DataFrame:
        """Return every region with the sum of its absolute attributions over modalities, sorted.

        Returns
        -------
        DataFrame
            ``region``, ``attribution`` (0 or more), ``share``.
        """
        table = self.regions(method).assign(attribution=lambda rows: rows["attribution"].abs())
        total = table.groupby("region", sort=False)["attribution"].sum()
        ranked = total.sort_values(ascending=False, kind="stable").reset_index()
        return ranked.assign(share=ranked["attribution"] / ranked["attribution"].sum())

    def modality_shares(self, method: str | None = None) -> pd.Series:
        """Return the share of each modality in what the map adds up to, 0 to 1.

        It is of the absolute value of each modality's sum: regions that push both ways cancel, as
        they do in the model's answer.
        """
        total = abs(self._of(method)["attribution"].sum("region"))
        shares: pd.Series = (total / total.sum()).to_series().rename("share")
        return shares

    def words(self, method: str | None = None) -> list[str]:
        """Return what a reader has to know before reading the map, one sentence each."""
        own = self._of(method)
        name = str(own["method"].values)
        shares = self.modality_shares(name)
        sentences = [
            f"The model hardly uses the {modality} networks ({share:.0%} of what {name} adds up "
            "to): where their map is largest means little."
            for modality, share in shares.items()
            if share < HARDLY and name != "gnn_explainer"
        ]
        sentences += self._words_on_runs(own)
        gap = float(self.dataset.attrs.get("gap", 0.0))
        if name == "integrated_gradients" and gap > HARDLY:
            sentences.append(
                f"Integrated gradients miss {gap:.0%} of the change that they should add up to: "
                "take more steps, or the subject's own graph."
            )
        return sentences

    def _words_on_runs(self, own: xr.Dataset) -> list[str]:
        if "agreement" not in own:
            return ["One model only: how much of the map is chance of training is not known."]
        sentences = []
        for modality in own["modality"].values:
            here = own["agreement"].sel(over="all", modality=modality)
            found, chance = (
                float(here.sel(statistic=each))
                for each in ("rank_correlation", "rank_correlation_chance")
            )
            if np.isfinite(found) and found <= chance:
                sentences.append(
                    f"The {modality} maps of different runs agree no better than chance (rank "
                    f"correlation {found:.2f}, chance up to {chance:.2f}): do not name regions."
                )
        return sentences

    def _of(self, method: str | None) -> xr.Dataset:
        name = self.methods[0] if method is None else method
        if name not in self.methods:
            raise ValueError(f"method must be one of {', '.join(self.methods)}; got {name!r}.")
        return self.dataset.sel({"method": name})  # method= is a keyword of sel

    def save(self, path: Path | str) -> Path:
        """Write the explanation as a netCDF-3 file; the same explanation gives the same bytes."""
        return netcdf.save(self.dataset, path)

    @classmethod
    def load(cls, path: Path | str) -> "Explanation":
        """Return an explanation that `save` wrote.

        Raises
        ------
        DataError
            No such file, not netCDF, cut short, or no explanation.
        """
        path = Path(path)
        remedy = "Explain the model again"
        if not path.is_file():
            raise DataError(path, "there is no such file", remedy)
        try:
            with xr.open_dataset(path, engine="scipy") as opened:
                dataset = opened.load()
        except Exception as error:
            raise DataError(path, f"is not a whole netCDF file ({error})", remedy) from error
        if "attribution" not in dataset:
            raise DataError(path, "holds no explanation (no 'attribution')", remedy)
        return cls(dataset)
