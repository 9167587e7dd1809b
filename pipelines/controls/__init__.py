"""Published techniques that steer an edit, one file each; base.py says what a control is.

Maths that would make such a file long, or that two of them share, have a file of their own:
fairness.py, refocus_losses.py.
"""
