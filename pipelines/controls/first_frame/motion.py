"""How a part of a picture moves through a clip, and a difference that moves along with it.

The part is matched: where in each frame are the source's latents most like those that it has in
its own? So it takes no pass of the model. It is moved as one piece; where it turns or grows as
well, the steps that are left to the model must follow that.
"""

from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.progress import OnPass, carry_on

REACH = 4
"""Latents that a part may move from one frame to the next, in each direction."""
FINER = (0.5, 0.25)
"""Fractions of a latent by which a match is then improved."""
CHANGED = 0.25
"""Of the largest difference: what is less does not say where the changed part is."""
NEARER = 1e-6
"""What a latent of way counts beside the errors: of equal matches the nearest, so that a flat part
stays where it is."""


def changed_part(difference: Tensor) -> Tensor:
    """Where a difference of latents (c, h, w) is, and what is next to it: (h, w) of 0 and 1."""
    size = difference.norm(dim=0)
    part = (size > CHANGED * size.max()).to(difference)
    return F.max_pool2d(part[None], 3, 1, 1)[0]


def shifts(clean: Tensor, part: Tensor, at: int, on_frame: OnPass = carry_on) -> Tensor:
    """How far a part of one frame has moved in every frame: (t, 2), in latents, (down, right).

    clean: (t, c, h, w), of the source. part: (h, w), the weight of each place. at: its frame, from
    which the search goes outwards, from each frame to the next. on_frame: called before each; what
    it raises (an interrupt) ends the search.
    """
    found = torch.zeros(len(clean), 2)
    for way in (range(at + 1, len(clean)), range(at - 1, -1, -1)):
        near = found[at]
        for frame in way:
            on_frame()
            near = found[frame] = _match(clean[at], clean[frame], part, near)
    return found


def _match(template: Tensor, frame: Tensor, part: Tensor, near: Tensor) -> Tensor:
    """The shift (2,) at which a frame (c, h, w) is most like a part of the template."""
    for reach, step in ((REACH, 1.0), *((1, step) for step in FINER)):
        side = step * torch.arange(-reach, reach + 1)
        tried = near + torch.cartesian_prod(side, side)
        errors = ((seen_at(frame, tried) - template).square().sum(1) * part).sum((1, 2))
        way = (tried - near).norm(dim=1).to(errors)
        near = tried[(errors + NEARER * (part.sum() + errors.max()) * way).argmin()]
    return near


def moved(difference: Tensor, found: Tensor) -> Tensor:
    """A difference (c, h, w) where shifts (t, 2) have brought it: (t, c, h, w)."""
    return seen_at(difference, -found)


def seen_at(picture: Tensor, offsets: Tensor) -> Tensor:
    """A picture (c, h, w) as it is at each place plus an offset (n, 2), (down, right), mixed
    between its cells: (n, c, h, w). Beyond its edges it goes on as there."""
    height, width = picture.shape[1:]
    most = ceil(float(offsets.abs().max())) + 1
    padded = F.pad(picture[None], (most,) * 4, mode="replicate")[0]
    whole, between = offsets.floor(), offsets - offsets.floor()
    seen = []
    for (top, left), (down, right) in zip(whole.int().tolist(), between.tolist(), strict=True):
        rows, columns = most + top, most + left
        cut = padded[:, rows : rows + height + 1, columns : columns + width + 1]
        cut = torch.lerp(cut[:, :-1], cut[:, 1:], down)
        seen.append(torch.lerp(cut[..., :-1], cut[..., 1:], right))
    return torch.stack(seen)
