"""Networks by name: what a config or a model card may ask for, and nothing else."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import Tensor, channels_last_3d, nn
from torch.nn import functional

__all__ = ["NETWORKS", "build_network", "channels_last"]

#: Where each network is made. A card from elsewhere can name these only.
NETWORKS: Mapping[str, str] = {
    "AutoEncoder": "monai.networks.nets:AutoEncoder",
    "DynUNet": "monai.networks.nets:DynUNet",
    "SegResNet": "monai.networks.nets:SegResNet",
    "SwinUNETR": "monai.networks.nets:SwinUNETR",
    "UNet": "monai.networks.nets:UNet",
    "BrainGNN": "brainnet.models.graph.braingnn:BrainGNN",
    "BrainNetCNN": "brainnet.models.graph.brainnetcnn:BrainNetCNN",
    "BrainNetworkTransformer": "brainnet.models.graph.transformer:BrainNetworkTransformer",
    "GATv2": "brainnet.models.graph.gat:GATv2",
    "Committee": "brainnet.models.graph.ensemble:NamedCommittee",
    "FusedCommittee": "brainnet.models.graph.fused:FusedCommittee",
    "GCN": "brainnet.models.graph.gcn:GCN",
    "MultiplexNetwork": "brainnet.models.graph.multiplex:MultiplexNetwork",
    "GIN": "brainnet.models.graph.gin:GIN",
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


def channels_last(model: nn.Module) -> nn.Module:
    """Lay a network of volumes out channels last, and let its 3-D instance norms keep that layout.

    torch's instance norm copies a whole ``channels_last`` image to channels first and back. In
    training on one image at a time a batch norm computes the same without: in bfloat16 on a CPU a
    DynUNet's step takes two thirds of the time. Batches of several, and evaluation, are normalised
    as ever.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place; modules, names and values of its weights stay.

    Returns
    -------
    torch.nn.Module
        The same.

    Examples
    --------
    >>> import torch
    >>> image = torch.rand(1, 2, 4, 4, 4)
    >>> norm = nn.InstanceNorm3d(2, affine=True)
    >>> before = norm(image)
    >>> torch.allclose(channels_last(norm)(image), before, atol=1e-6)
    True
    """
    for weight in model.parameters():
        if weight.ndim == 5:
            weight.data = weight.data.contiguous(memory_format=channels_last_3d)
    for each in model.modules():
        if type(each) is nn.InstanceNorm3d and not each.track_running_stats:
            each.__class__ = _OneImageNorm  # as torch's own lazy modules do: nothing else changes
    return model


class _OneImageNorm(nn.InstanceNorm3d):
    """An instance norm that is a batch norm wherever it is trained on a single image."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or input.ndim != 5 or len(input) != 1:
            return super().forward(input)
        return functional.batch_norm(
            input, None, None, self.weight, self.bias, training=True, eps=self.eps
        )
