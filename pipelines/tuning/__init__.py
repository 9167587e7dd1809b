"""A model fitted to one clip before it is edited."""
