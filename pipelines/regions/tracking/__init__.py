"""From a box, points or a mask on some frames to a region on every frame.

`drawn.py`: what was drawn. `sam.py`: its mask, by SAM 1. `track.py`: on all frames, by optical flow
(`flow.py`) or by SAM 2 (`sam2.py`). `people.py`: people instead, found on each frame anew by
`person.py` and told apart by `parts.py`.
"""
