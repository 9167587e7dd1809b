"""VideoGrain: each region its own words, and nobody else's (arXiv 2502.17258)."""
