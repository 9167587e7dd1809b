"""Stable Diffusion 1.x and 2.x: from files, folders and memory to a model."""
