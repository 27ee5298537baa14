"""Tensors to stage probabilities."""
