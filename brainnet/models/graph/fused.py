"""What several networks read of a subject, joined by a Gaussian of each stage."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from brainnet.models.core.networks import build_network
from brainnet.models.fusion import Fusion, Reading, fuse, ridge_reading, stage_targets
from brainnet.models.graph.brains import Brains
from brainnet.models.graph.multiplex import READINGS, MultiplexNetwork
from brainnet.models.stages import balanced_weights

__all__ = ["FusedCommittee", "fuse_members"]

#: What is read in closed form, and the reading of the network that is there where it is.
_LINEAR = MappingProxyType(
    {"edges": "edges", "regions": "regions", "measures": "graph", "context": "graph"}
)


class FusedCommittee(nn.Module):
    r"""Join the readings of several multiplex networks, and linear ones in closed form.

    Each modality is read in three ways by the members
    (:class:`~brainnet.models.graph.multiplex.MultiplexNetwork`), whose readings are averaged, and
    its edges, regional values, measures and context by ridge regression as well. What each
    stage's readings are like together (:class:`~brainnet.models.fusion.Fusion`) was learned from
    subjects that took no part in the reading. Outputs are logarithms of the chances of stages, up
    to a constant: what a subject lacks is integrated out of them.

    Parameters
    ----------
    network : str
        A key of :data:`~brainnet.models.core.networks.NETWORKS`: a ``MultiplexNetwork``.
    n_members, n_stages : int
    n_targets : int
        Numbers that a linear reading gives (:func:`~brainnet.models.fusion.stage_targets`).
    **options
        Of the network.
    """

    means: Tensor
    covariance: Tensor
    scale: Tensor

    def __init__(
        self, *, network: str, n_members: int, n_stages: int, n_targets: int, **options: Any
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(build_network(network, options) for _ in range(n_members))
        first = self.members[0] if n_members else None
        if not isinstance(first, MultiplexNetwork):
            raise ValueError(f"network must be a MultiplexNetwork, once or more; got {network}.")
        self.n_targets = n_targets
        n_modalities, n_regions = int(options["n_modalities"]), int(options["n_regions"])
        widths = {
            "edges": n_regions**2,
            "regions": n_regions * first.n_regional,
            "measures": n_regions * (options["n_features"] - first.n_regional),
            "context": options["n_context"] // n_modalities,
        }
        self.linear = nn.ParameterDict(
            {name: torch.zeros(n_modalities, widths[name], n_targets) for name in _LINEAR}
        )
        self.intercept = nn.ParameterDict(
            {name: torch.zeros(n_modalities, n_targets) for name in _LINEAR}
        )
        n_scores = cast(Tensor, first.readings["edges"].weight).shape[2]
        n_readings = n_modalities * (len(READINGS) * n_scores + len(_LINEAR) * n_targets)
        self.register_buffer("means", torch.zeros(n_stages, n_readings))
        self.register_buffer("covariance", torch.eye(n_readings))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, brains: Brains) -> Tensor:
        """Return the outputs ``(n_subjects, n_stages)`` of a batch of subjects."""
        readings, there = self.read(brains)
        away = (readings[:, None] - self.means.double()).where(there[:, None], 0.0)
        both = there[:, :, None] & there[:, None, :]
        apart = torch.eye(there.shape[1], dtype=away.dtype, device=away.device)
        solved = torch.linalg.solve(torch.where(both, self.covariance.double(), apart), away.mT)
        outputs: Tensor = -self.scale.double() / 2 * (away * solved.mT).sum(dim=-1)
        return outputs

    def read(self, brains: Brains) -> tuple[Tensor, Tensor]:
        """Return every reading, and whether it is there.

        Returns
        -------
        readings : (n_subjects, n_readings) float64 tensor
        there : (n_subjects, n_readings) bool tensor
        """
        averaged = torch.stack([read_by(member, brains) for member in self.members]).mean(dim=0)
        measured = cast(MultiplexNetwork, self.members[0]).measured(brains)
        readings, there = [averaged], [_spread(measured, averaged)]
        for name, table in linear_tables(self.members[0], brains).items():
            found = torch.einsum("smi,miq->smq", table, self.linear[name]) + self.intercept[name]
            readings.append(found)
            there.append(_spread(_there(measured, name, table), found))
        return (
            torch.cat([each.flatten(1) for each in readings], dim=1).double(),
            torch.cat([each.flatten(1) for each in there], dim=1),
        )

    def take(self, fusion: Fusion) -> None:
        """Take what joins the readings."""
        self.means.copy_(torch.from_numpy(fusion.means))
        self.covariance.copy_(torch.from_numpy(fusion.covariance))
        self.scale.fill_(fusion.scale)


def read_by(member: nn.Module, brains: Brains) -> Tensor:
    """Return the readings of one network, ``(n_subjects, n_modalities, 3, n_scores)``."""
    return cast(MultiplexNetwork, member).weighed(brains)[0]


def linear_tables(member: nn.Module, brains: Brains) -> dict[str, Tensor]:
    """Return what is read in closed form, ``(n_subjects, n_modalities, n_columns)`` each."""
    n_regional = cast(MultiplexNetwork, member).n_regional
    tables = {
        "edges": brains.edges.flatten(2),
        "regions": brains.nodes[..., :n_regional].flatten(2),
        "measures": brains.nodes[..., n_regional:].flatten(2),
        "context": brains.context.reshape(*brains.present.shape, -1),
    }
    return {name: max(1, tables[name].shape[2]) ** -0.5 * tables[name] for name in _LINEAR}


def fuse_members(
    committee: FusedCommittee,
    brains: Brains,
    held_out: Sequence[NDArray[np.int64]],
    classes: NDArray,
    places: NDArray[np.int64],
) -> FusedCommittee:
    """Fit the closed-form readings of a committee of trained members, and what joins all.

    Parameters
    ----------
    committee : FusedCommittee
        Its members are trained, in evaluation mode.
    brains : Brains
        All training subjects.
    held_out : sequence of (n,) arrays of rows
        Those that each member was not trained on; every subject is in one. Linear readings hold
        out the same.
    classes : (n_stages,) array
    places : (n_subjects,) array of int
        Stage of each subject, from 0.
    """
    first = cast(MultiplexNetwork, committee.members[0])
    part = np.empty(len(places), dtype=np.int64)
    for number, rows in enumerate(held_out):
        part[rows] = number
    with torch.no_grad():
        measured = first.measured(brains).numpy()
        parts = [
            read_by(member, brains.rows(torch.from_numpy(rows)))
            for member, rows in zip(committee.members, held_out, strict=True)
        ]
        learned = np.full((len(places), *parts[0].shape[1:]), np.nan)
        for rows, own in zip(held_out, parts, strict=True):
            learned[rows] = own.numpy()
        learned[~measured] = np.nan
        readings = [learned.reshape(len(places), -1)]
        targets = stage_targets(classes)[places]
        for name, table in linear_tables(first, brains).items():
            there = _there(torch.from_numpy(measured), name, table).numpy()
            read = np.full((*there.shape, targets.shape[1]), np.nan)
            for modality in range(there.shape[1]):
                rows = np.flatnonzero(there[:, modality])
                if np.unique(part[rows]).size < 2:
                    continue
                columns = table[torch.from_numpy(rows), modality]
                found = _ridge(columns, targets[rows], places[rows], part[rows])
                read[rows, modality] = found.held_out
                weights = columns.mT.double() @ torch.from_numpy(found.coefficients)
                committee.linear[name][modality] = weights
                committee.intercept[name][modality] = torch.from_numpy(found.intercept)
            readings.append(read.reshape(len(places), -1))
    committee.take(fuse(np.concatenate(readings, axis=1), places, part))
    return committee


def _ridge(columns: Tensor, targets: NDArray, places: NDArray, parts: NDArray) -> Reading:
    gram = (columns @ columns.mT).double().numpy()
    return ridge_reading(gram, targets, balanced_weights(places), parts)


def _there(measured: Tensor, name: str, table: Tensor) -> Tensor:
    """Say whose modalities have a linear reading ``(n_subjects, n_modalities)``."""
    there = measured[..., READINGS.index(_LINEAR[name])]
    return there if table.shape[2] else torch.zeros_like(there)


def _spread(there: Tensor, readings: Tensor) -> Tensor:
    """Say of each number of each reading whether it is there."""
    return there[..., None].expand(readings.shape)
