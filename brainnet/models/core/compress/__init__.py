"""Smaller and faster variants of a trained network, and what each of them costs."""
