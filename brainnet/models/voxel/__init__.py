"""Networks that turn voxels into label maps; each task is data, a config and a label table."""
