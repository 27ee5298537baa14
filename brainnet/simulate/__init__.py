"""Anatomy and a planted network to datasets with known truth."""
