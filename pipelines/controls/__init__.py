"""Published techniques that steer an edit, one folder a paper; base.py says what a control is."""
