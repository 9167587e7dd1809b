"""Decode, resize and encode clips."""
