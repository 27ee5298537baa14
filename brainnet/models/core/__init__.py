"""The shared torch core: the training loop that every network uses."""
