"""The video miniature: a very small video transformer in Wan's layout, and its world in motion."""
