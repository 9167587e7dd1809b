"""From a box, points or a mask on one frame to a region on every frame.

`prompt.py`: what was drawn. `sam.py`: its mask, by SAM 1. `flow.py`, `sam2.py`: on the other
frames, by optical flow or by SAM 2. `person.py`, `guided.py`: people, found on each frame anew;
`parts.py`, `sharing.py`: which of them is who; `people.py`: everybody, or the one who is meant.
`packages.py`: whether what they stand on is installed.
"""
