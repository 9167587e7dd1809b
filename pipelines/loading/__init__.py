"""Models from files, from folders, and from memory, as `Components`."""
