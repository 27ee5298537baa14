"""Voxels to voxels: intensity, mask, tissue, registration, motion, resampling."""
