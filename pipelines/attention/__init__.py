"""Attention as a sum of terms: where it happens, how it is rewritten, what is kept of it."""
