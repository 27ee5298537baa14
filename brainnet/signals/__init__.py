"""Voxels and an atlas to regional signals: time series, voxel samples, values."""
