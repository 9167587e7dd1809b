"""Video files to frames and back: load, fit, undo, save.

A clip is a value: its frames, the rate they play at, and the sound that belongs to them.
"""

# ruff: noqa: F401
from .audio import Audio
from .clip import Clip, clip_from_images
from .decode import load, outline
from .encode import save
from .film import Film, at_rate, film_of
from .fit import fit
from .fitted import fit_clip, undo_clip, without_repeated
from .from_film import clip_from_film
from .lengths import Length
from .metadata import log_metadata, read_metadata, workflow_metadata
from .rate import as_rate
from .select import select
from .sizes import Fit, Fitting
from .targets import Target
from .timing import Choice
from .undo import undo
