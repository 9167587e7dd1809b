"""The figures, each by one command."""
