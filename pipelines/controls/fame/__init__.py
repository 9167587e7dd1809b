"""FAME: attention that knows who is meant (arXiv 2510.22960)."""
