"""ReAtCo: each edited object in its own region (arXiv 2412.11929)."""
