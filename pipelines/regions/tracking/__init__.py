"""From a box, points or a mask on some frames to a region on every frame.

`prompt.py`: what was drawn. `sam.py`: its mask, by SAM 1; `cutout.py`: what in a box is the object.
`flow.py`, `sam2.py`: on the other frames, by optical flow or by SAM 2. `fields.py`, `motion.py`,
`looks.py`, `layer.py`: one step of the first, what moves, how, and what is seen of it.
`confidence.py`, `blend.py`: how far tracks are trusted, and one out of two.
`person.py`, `guided.py`: people, found on each frame anew; `parts.py`, `sharing.py`: which of them
is who; `people.py`: everybody, or the one who is meant.
`packages.py`: whether what they stand on is installed.
"""
