"""Tensors: no files, no clocks, no global random state."""
