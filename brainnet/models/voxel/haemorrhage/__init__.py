"""Haemorrhage on head CT: synthesised to learn from, found, measured and told."""
