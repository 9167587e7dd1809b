"""LPIPS (Zhang et al., CVPR 2018) over the unmasked pixels, by the package of its authors.

That package holds the learned weights of the layers, and no backbone: AlexNet's weights come from
the user's folder of judges, as torchvision names them.
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import torch

from .asked import NotMeasured
from .judges import BACKBONE, backbone, require_package

if TYPE_CHECKING:
    from torch import Tensor

    from .asked import Asked

NAME = "outside LPIPS"
FORMULA = (
    "AlexNet, version 0.1, spatial, mean over the unmasked pixels; inside the mask both have the "
    "source's pixels"
)


def outside(asked: Asked, where: Tensor) -> float:
    """The mean distance over the pixels `where` (f, h, w) says."""
    judge = load(asked)
    total = 0.0
    for result, source, free in zip(asked.result, asked.source, where, strict=True):
        asked.on_pass()
        kept = torch.where(free[..., None], result, source)
        both = [(2 * each - 1).permute(2, 0, 1)[None].to(asked.device) for each in (kept, source)]
        with torch.no_grad():
            total += float(judge(*both)[0, 0].cpu()[free].sum())
    return total / int(where.sum())


def load(asked: Asked) -> Any:
    """The judge with the backbone of the user's folder; NotMeasured where either is missing."""
    weights = backbone(asked.judges)
    package = require_package("lpips", BACKBONE)
    with contextlib.redirect_stdout(io.StringIO()):  # it tells how torchvision has changed
        judge = package.LPIPS(net="alex", pnet_rand=True, spatial=True, verbose=False)
    trunk = {
        name.split(".", 1)[1]: tensor
        for name, tensor in weights.items()
        if name.startswith("features.")
    }
    wanted = judge.net.state_dict()
    # The package keeps torchvision's layers under their numbers, in slices: slice2.3 is features.3.
    named = {at: trunk[own] for at in wanted if (own := at.split(".", 1)[1]) in trunk}
    alike = named.keys() == wanted.keys()
    if not alike or any(named[at].shape != wanted[at].shape for at in wanted):
        raise NotMeasured(f"'{BACKBONE}' in the folder of judges is not torchvision's AlexNet")
    judge.net.load_state_dict(named)
    return judge.to(asked.device)
