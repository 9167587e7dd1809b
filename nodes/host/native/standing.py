"""What other nodes have put on a MODEL: refused where an edit would break, else told apart."""

from __future__ import annotations

import hashlib
import types
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import Any

import torch

from ....pipelines.common.errors import EvenframeError
from ....pipelines.models.guidance import UNUSED

GUIDANCE = ("sampler_cfg_function", "sampler_pre_cfg_function", "sampler_post_cfg_function")
"""Model options by which other nodes change guidance, of which an inversion has none."""
ALWAYS = "disable_cfg1_optimization"
"""The model option by which they ask for the negative prompt at scale 1, too."""
UNCOMPARED = {*GUIDANCE, ALWAYS}
ELSEWHERE = {"model_sampling"}
"""Patched objects of which a model's schedule says all that counts."""
PLACES = (
    *("wrappers", "callbacks", "injections", "weight_wrapper_patches"),
    *("additional_models", "hook_patches", "forced_hooks"),
)
"""Where nodes put things on a patcher, but for its options and objects."""
SKIPPING = {"easycache", "teacache", "rel_l1_thresh"}
"""Options by which nodes leave out passes."""
OURS = "evenframe"
"""The option, and the key of the wrapper, by which this pack goes with a MODEL to samplers."""
RUN = "evenframe_run"
"""The option by which this pack's parts find the run of a sampler that they are asked in."""
SAMPLERS = ("sampler_calc_cond_batch_function", "denoise_mask_function")
"""Model options that only the host's own samplers look at."""
RETOKENED = {
    "hypertile": "HyperTile",
    "tomesd": "Token Merging (ToMe)",
    "addownscale": "Deep Shrink (PatchModelAddDownscale)",
    "model_downscale": "Deep Shrink (PatchModelAddDownscale)",
    "hidiffusion": "HiDiffusion",
    "msw_msa": "HiDiffusion",
    "raunet": "HiDiffusion",
}
"""Nodes whose patches change the number of tokens, by what the names of their functions hold."""
DEEPEST, LARGEST, EACH = 12, 1 << 26, 1 << 10
"""How far patches are looked into: levels, and bytes of all tensors; any value counts as some."""
HEAP = 1 << 9
"""The flag of classes that were made by a `class` statement (Py_TPFLAGS_HEAPTYPE)."""


class Incomparable(Exception):
    """Of this cannot be said whether another is the same."""


def facts_of(*patchers: Any) -> tuple[str, ...]:
    """What stands on these patchers beside weights, patches of them and guidance: a digest.

    Where something cannot be compared, nothing else is ever equal to it. Empty where nothing
    stands on them.
    """
    found = [_found(patcher) for patcher in patchers]
    if not any(found):
        return ()
    digest = hashlib.sha256()
    try:
        for token in _described(found, [LARGEST], 0):
            digest.update(token if isinstance(token, bytes) else f"{token}\n".encode())
    except Incomparable:
        return (uuid.uuid4().hex,)
    return (digest.hexdigest(),)


def unused_of(options: Mapping[str, Any]) -> Mapping[float, str]:
    """`Model.unused` with these model options: guidance of other nodes gets what the host's gives
    it, where both branches are left out at no scale but 1."""
    if options.get(ALWAYS):
        return {}
    return {1.0: UNUSED[1.0]} if any(options.get(name) for name in GUIDANCE) else UNUSED


def require_workable(patcher: Any, name: str) -> None:
    """Raise EvenframeError, naming the node, where something on the MODEL breaks edits, or this
    pack's own loop would not honour it."""
    options = patcher.model_options
    inner = options.get("transformer_options", {})
    if options.get("context_handler") is not None:
        raise EvenframeError(
            "Context Windows stands on the MODEL, which cuts the clip behind the controls' back: "
            "take that node away, and link Windows to the inverter of this pack."
        )
    require_reachable(patcher, name)
    wrappers = _wrappers(patcher.wrappers, inner.get("wrappers", {}))
    ignored = [_who(each) for kind, _, each in wrappers if kind == "predict_noise"]
    ignored += [_who(options[name]) for name in SAMPLERS if options.get(name) is not None]
    if ignored:
        raise EvenframeError(
            f"A node changes the steps of ComfyUI's own samplers ({ignored[0]}: Skip Layer "
            "Guidance, CFG Override, Differential Diffusion or the like), and would do nothing "
            "here, where this pack samples: take that node away, or connect the MODEL before it."
        )
    if OURS in inner:
        raise EvenframeError(
            "Source for Controls stands on the MODEL, which is for ComfyUI's own samplers: connect "
            "the MODEL before it."
        )


def require_reachable(patcher: Any, name: str) -> None:
    """Raise EvenframeError, naming the node, where something on the MODEL keeps controls from its
    attention."""
    inner = patcher.model_options.get("transformer_options", {})
    wrappers = _wrappers(patcher.wrappers, inner.get("wrappers", {}))
    caches = [key for _, key, _ in wrappers if "cache" in str(key).lower()]
    if caches or SKIPPING & inner.keys():
        raise EvenframeError(
            "A node that skips passes (EasyCache, LazyCache, TeaCache or the like) stands on the "
            "MODEL, and controls would miss those that it leaves out: take that node away."
        )
    if patcher.additional_models.get("multigpu"):
        raise EvenframeError(
            "MultiGPU CFG Split stands on the MODEL, whose parts would attend at the same time on "
            "several devices, so that no control could tell its layers: take that node away."
        )
    _require_tokens(inner.get("patches", {}))
    _require_attention(inner.get("patches_replace", {}), name)


def _require_tokens(patches: Mapping[str, Sequence[Any]]) -> None:
    for each in (patch for several in patches.values() for patch in several):
        who = _who(each)
        node = next((node for part, node in RETOKENED.items() if part in who.lower()), None)
        if node is not None:
            raise EvenframeError(
                f"{node} stands on the MODEL and changes the number of tokens that attend, so no "
                "control finds its places in a frame: take that node away."
            )


def _require_attention(replaced: Mapping[str, Mapping[Any, Any]], name: str) -> None:
    for kind in ("attn1", "attn2"):
        for block, patch in replaced.get(kind, {}).items():
            where = ".".join(str(part) for part in block)
            which = "self" if kind == "attn1" else "cross"
            raise EvenframeError(
                f"Another node ({_who(patch)}: IP-Adapter, Self-Attention Guidance or the like) "
                f"has replaced the {which}-attention of block {where} of '{name}', which no "
                "control can reach then: take that node away, or connect the MODEL before it."
            )


def _wrappers(*tables: Mapping[str, Mapping[Any, Sequence[Any]]]) -> list[tuple[str, Any, Any]]:
    """(kind, key, function)."""
    return [
        (kind, key, each)
        for table in tables
        for kind, keyed in table.items()
        for key, several in keyed.items()
        for each in several
    ]


def _who(value: Any) -> str:
    """The file and the name of a function or of an object's class."""
    while isinstance(value, partial):
        value = value.func
    named = value if hasattr(value, "__qualname__") else type(value)
    # Packs are loaded under their path.
    module = PurePath(str(named.__module__).replace("\\", "/")).name.removesuffix(".py")
    return f"{module}.{named.__qualname__.split('.<locals>')[0]}"


def _found(patcher: Any) -> dict[str, Any]:
    options = {k: v for k, v in patcher.model_options.items() if k not in UNCOMPARED and _filled(v)}
    objects = {k: v for k, v in patcher.object_patches.items() if k not in ELSEWHERE}
    others = {place: getattr(patcher, place, None) for place in PLACES}
    found = {"options": options, "objects": objects, **others}
    return {place: value for place, value in found.items() if _filled(value)}


def _filled(value: Any) -> bool:
    """Whether anything stands there; tables of empty tables are empty."""
    if isinstance(value, Mapping):
        return any(_filled(each) for each in value.values())
    return value is not None and not (isinstance(value, list | tuple | set) and not value)


def _described(value: Any, budget: list[int], depth: int) -> Iterator[str | bytes]:
    """What a value is, in tokens; two that give the same ones do the same.

    budget: [bytes that may still be read]; it also ends where things refer to each other.
    """
    budget[0] -= value.nbytes if isinstance(value, torch.Tensor) else EACH
    if depth > DEEPEST or budget[0] < 0:
        raise Incomparable
    if isinstance(value, torch.Tensor):
        yield from _numbers(value)
    elif value is None or isinstance(value, str | bytes | int | float | complex | torch.dtype):
        yield f"{type(value).__name__} {value!r}"
    elif isinstance(value, torch.device | torch.Size | types.ModuleType | type(Ellipsis)):
        yield repr(value)
    elif isinstance(value, type):
        yield f"class {[f'{c.__module__}.{c.__qualname__}' for c in value.__mro__]}"
    else:
        parts = _parts(value)
        yield f"{type(value).__module__}.{type(value).__qualname__} {len(parts)}"
        for part in parts:
            yield from _described(part, budget, depth + 1)


def _parts(value: Any) -> list[Any]:
    """What a value consists of."""
    match value:
        case list() | tuple():
            return list(value)
        case set() | frozenset():
            return sorted(value, key=repr)
        case Mapping():
            return [part for item in value.items() for part in item]
        case partial():
            return [value.func, value.args, value.keywords]
        case types.MethodType():
            return [value.__func__, value.__self__]
        case types.BuiltinFunctionType():
            return [value.__qualname__, value.__self__]
        case types.CellType():
            return [value.cell_contents] if _bound(value) else []
        case types.CodeType():
            return [value.co_code, value.co_consts, value.co_names]
        case types.FunctionType():
            given = value.__defaults__, value.__kwdefaults__, value.__closure__
            return [value.__module__, value.__qualname__, value.__code__, *given]
        case _ if hasattr(value, "__dict__") and not _slotted(type(value)):
            return [type(value), vars(value)]
    raise Incomparable


def _bound(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _slotted(kind: type) -> bool:
    """Whether objects of a class hold more than their `__dict__`: they are not Python's alone."""
    own = [each for each in kind.__mro__ if each is not object]
    return any(
        not each.__flags__ & HEAP or set(vars(each).get("__slots__", ())) - {"__weakref__"}
        for each in own
    )


def _numbers(tensor: torch.Tensor) -> Iterator[str | bytes]:
    if type(tensor.data) is not torch.Tensor or tensor.layout != torch.strided or tensor.is_meta:
        raise Incomparable  # quantised: what it stands for is not in its numbers alone
    yield f"{tensor.dtype} {tuple(tensor.shape)}"
    yield tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
