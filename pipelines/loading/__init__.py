"""Models from files."""
