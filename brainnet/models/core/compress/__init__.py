"""Smaller and faster variants of a trained network, and what each of them costs."""

__all__ = ["LARGEST_LOSS", "LEAST_AGREEMENT"]

#: A variant passes where its score is at most this much below the original's ...
LARGEST_LOSS = 0.01
#: ... and it gives this share of voxels, of those that either calls something, the same label.
LEAST_AGREEMENT = 0.95
