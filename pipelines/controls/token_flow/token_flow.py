"""TokenFlow: self-attention of a few key frames, carried to all others as the clip's tokens lie.

Source: "TokenFlow: Consistent Diffusion Features for Consistent Video Editing" (ICLR 2024, arXiv
2307.10373) and its published code. At each step one key frame is drawn in each batch. Key frames
attend to all key frames, those of the source to themselves. Other frames compute no self-attention:
what the layer puts out comes from the nearest token of the key frames, by the cosine of what goes
into the same layer of the source. With it go queries and keys of the source, as in "Plug-and-Play
Diffusion Features" (CVPR 2023).

Here all frames go through the model once: a key frame keeps its own output, where the published
code passes key frames twice and gives them their share of the key frame before.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ...attention.processor import Carried, Carrying, EarlyExit
from ...attention.sites import Site
from ...attention.terms import Call, Term, Terms, as_it_is
from ...common.settings import setting
from ..base import Control, ControlRun, Edit, Step
from ..span import Span
from .flow import Places, batches, places

if TYPE_CHECKING:
    from ...models.model import Model


@dataclass(frozen=True)
class TokenFlow(Control):
    """Settings of TokenFlow. Raises EvenframeError for settings out of range."""

    unique: ClassVar[str] = "TokenFlow"
    carries: ClassVar[bool] = True
    batch: int = setting(
        8,
        "Frames that share a key frame. Fewer follow fast motion better, and take longer.",
        whole=(1, 64),
    )
    structure: float = setting(
        0.5,
        "Share of the steps, from the start, in which queries and keys of the later layers are the "
        "source's (PnP). More keeps the clip's shapes.",
        within=(0, 1),
    )

    @property
    def draws(self) -> bool:
        """The key frames, by the editor's seed."""
        return True

    def begin(self, edit: Edit) -> ControlRun:
        """Start; an edit has asked whether the model lets it."""
        return TokenFlowRun(self, edit)


class TokenFlowRun(ControlRun):
    """TokenFlow at work in one edit."""

    carries: ClassVar[bool] = True

    def __init__(self, settings: TokenFlow, edit: Edit):
        self._edit, self._model = edit, edit.model
        self._parts = batches(len(edit.latent_frames), settings.batch)
        self._levels = edit.inversion.levels(edit.model.schedule)
        own = [site for site in edit.model.denoiser.sites if site.kind == "self"]
        self._last = max(own, key=lambda site: site.order)
        self._later = later_sites(own)
        self._structured = Span(0, settings.structure).steps(edit.steps)
        self._keys: list[int] = []
        self._at = -1
        self._places: dict[str, Places] = {}
        self._source: dict[str, Call] = {}

    def ready(self, model: "Model") -> None:
        """Ask this one."""
        self._model = model

    def done(self) -> None:
        """Hold nothing of it."""
        self._model = self._edit.model
        self._let_go()

    def end(self) -> None:
        """Of several windows, all would be held: memory would grow with the clip."""
        if self._edit.window is not None:
            self._let_go()

    def _let_go(self) -> None:
        self._at, self._places, self._source = -1, {}, {}

    def source_passes(self, step: int) -> int:
        """One, to the last self-attention."""
        return 1

    def prepare(self, step: Step) -> None:
        """Draw the key frames of a step, and ask the source where everything comes from."""
        if step.index == self._at:  # taken again
            return
        self._at, self._places, self._source = step.index, {}, {}
        generator = torch.Generator().manual_seed(self._edit.seed + step.index)
        drawn = [int(torch.randint(len(part), (), generator=generator)) for part in self._parts]
        self._keys = [part.start + at for part, at in zip(self._parts, drawn, strict=True)]
        self._edit.on_pass()
        inversion, model = self._edit.inversion, self._model
        latents = inversion.asked(self._levels, step.index, model.device).to(model.device)
        branch, attend = {"source": inversion.prompt}, Carrying(as_it_is, self._seen)
        with suppress(EarlyExit):
            model.denoiser.predict(latents, self._levels[step.index], branch, None, attend)

    def carry(self, site: Site, branch: str, tokens: Tensor) -> Carried | None:
        """The edit's layers, of both branches, by what the source's have shown."""
        keys = torch.tensor(self._keys, device=tokens.device)
        among = torch.arange(len(keys), device=tokens.device)[None]
        attend = partial(self._structure, self._source.get(site.name))
        return Carried(keys, among, self._places[site.name].spread, attend)

    def _seen(self, site: Site, branch: str, tokens: Tensor) -> Carried:
        """The source's own layers: each key frame for itself."""
        self._places[site.name] = found = places(tokens, self._keys, self._parts, exact=True)
        if site == self._last:
            raise EarlyExit
        keep = site in self._later and self._at in self._structured
        attend = self._keep if keep else as_it_is
        return Carried(torch.tensor(self._keys, device=tokens.device), None, found.spread, attend)

    def _keep(self, call: Call, terms: Terms) -> Terms:
        self._source[call.site.name] = call
        return terms

    def _structure(self, source: Call | None, call: Call, terms: Terms) -> Terms:
        """The source's queries and keys in the place of the edit's."""
        if source is None:
            return terms
        return (Term(source.q, call.gather(source.k), call.values, source=True),)


def later_sites(own: list[Site]) -> set[Site]:
    """The layers behind the coarsest ones, but for the first of them: in a UNet the decoder's, as
    published. own: all of self-attention, in order."""
    coarsest = max(site.stride for site in own)
    middle = max(site.order for site in own if site.stride == coarsest)
    later = sorted((site for site in own if site.order > middle), key=lambda site: site.order)
    return set(later[1:])
