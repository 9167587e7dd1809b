"""TokenFlow: a few frames are edited, and all others follow the clip's own likeness to them."""
