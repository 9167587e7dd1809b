"""Edited frames back into the source, at its own size and only where they were meant to change."""
