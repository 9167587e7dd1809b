"""FateZero: the source's attention in the place of the edit's (arXiv 2303.09535)."""
