"""Multimodal brain networks from BIDS data, their measures, and leak-free staging.

Nothing heavy is imported here: import the room you need, for example
``from brainnet.workflows import participant`` or ``from brainnet.metrics import paths``.
"""

from brainnet._version import __version__

__all__ = ["__version__"]
