"""The commands of `evenframe`, one file each."""
