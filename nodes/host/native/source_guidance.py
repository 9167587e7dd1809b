"""Source-oriented guidance in the host's own samplers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ....pipelines.common.errors import EvenframeError
from ....pipelines.models.guidance import source_oriented
from .standing import RUN

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SourceGuidance:
    """A function before guidance, of a MODEL with a source; see `source_oriented`.

    It corrects what the model says of every branch alike, by a pass of the source. strength: above
    0, to 1.
    """

    strength: float

    def __call__(self, args: dict[str, Any]) -> list[Tensor]:
        outputs, options = list(args["conds_out"]), args["model_options"]
        run, sigma = options.get("transformer_options", {}).get(RUN), args["sigma"]
        if run is None:
            raise EvenframeError(
                "There is no source on the MODEL any more, so that Source Guidance has nothing to "
                "guide by: take away the node behind Source for Controls that has dropped it."
            )
        x, said = run.source_says(sigma, options)
        inward, flow = run.denoiser.inward, run.kind == "flow"

        def way(latents: Tensor, clean: Tensor) -> Tensor:
            """Noise - clean, as it is predicted."""
            noise = (latents - clean) / sigma[0]
            return noise if flow else noise - clean

        apart = inward(way(run.asked(args["input"]), outputs[0]) - way(x, said))
        source, clean = inward(said), run.latents.clean.to(said)
        more = run.denoiser.outward(source_oriented(source, clean, apart, self.strength))
        return [each + more for each in outputs]
