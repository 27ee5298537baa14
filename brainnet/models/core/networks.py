"""Networks by name: what a config or a model card may ask for, and nothing else."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import nn

__all__ = ["NETWORKS", "build_network"]

#: Where each network is made. A card from elsewhere can name these only.
NETWORKS: Mapping[str, str] = {
    "AutoEncoder": "monai.networks.nets:AutoEncoder",
    "DynUNet": "monai.networks.nets:DynUNet",
    "SegResNet": "monai.networks.nets:SegResNet",
    "SwinUNETR": "monai.networks.nets:SwinUNETR",
    "UNet": "monai.networks.nets:UNet",
    "MultiplexGCN": "brainnet.models.graph.gcn:MultiplexGCN",
}


def build_network(name: str, options: Mapping[str, Any]) -> nn.Module:
    """Return a network with fresh weights, drawn from torch's generator.

    Parameters
    ----------
    name : str
        A key of `NETWORKS`.
    options : mapping
        Its arguments, as JSON can hold them.

    Raises
    ------
    ValueError
        If there is no such network, or it does not take these options.

    Examples
    --------
    >>> options = {"spatial_dims": 3, "in_channels": 1, "out_channels": 4, "init_filters": 8}
    >>> type(build_network("SegResNet", options)).__name__
    'SegResNet'
    """
    if name not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}; got {name!r}.")
    module, attribute = NETWORKS[name].split(":")
    try:
        network: nn.Module = getattr(import_module(module), attribute)(**options)
    except (TypeError, ValueError, LookupError, RuntimeError, AssertionError) as error:
        raise ValueError(f"options of {name} must fit it: {error}. Got {dict(options)}.") from error
    return network
