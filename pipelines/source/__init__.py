"""The clip that is edited: its inversion, and what of its attention is kept or computed again."""
