"""StreamEdit, also known as StreamGVE: few steps, no inversion (arXiv 2605.21466)."""
