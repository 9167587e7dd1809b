"""Published techniques that steer an edit, one file each; base.py says what a control is."""
