"""Wan 2.1 and 2.2: video transformers that see a whole clip at once (arXiv 2503.20314)."""
