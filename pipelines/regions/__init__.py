"""Where something is: drawn, written, or tracked through a clip."""
