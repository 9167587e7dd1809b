"""Published measures of an edit, one file each."""
