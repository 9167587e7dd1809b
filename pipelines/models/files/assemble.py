"""Put tensors into modules without ever allocating the weights twice.

Modules are built on the meta device, which costs no memory, and every tensor is then assigned. So
loading needs no `accelerate`, and a file of the wanted type stays mapped from disk.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ...common.errors import EvenframeError


def fill(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    what: str,
    dtype: torch.dtype | None = None,
    family: str = "Stable Diffusion 1.x or 2.1",
) -> None:
    """Give every parameter of a module its tensor, by name; extra tensors are left out.

    dtype: of the parameters; None leaves each as it is. Where a tensor has the type already, the
    memory is shared: see `alias`.
    The module ends frozen and in evaluation mode.

    Raises:
        EvenframeError: a tensor is missing or has another shape; `what` names the part, `family`
            the model to use.
    """
    wanted = module.state_dict()
    missing = [name for name in wanted if name not in tensors]
    if missing:
        raise EvenframeError(
            f"The {what} is incomplete: {len(missing)} of {len(wanted)} tensors are missing, the "
            f"first is '{missing[0]}'. Use the complete model ({family})."
        )
    for name, empty in wanted.items():
        if tensors[name].shape != empty.shape:
            raise EvenframeError(
                f"The {what} does not fit its configuration: '{name}' is "
                f"{tuple(tensors[name].shape)} where {tuple(empty.shape)} is expected. "
                f"Use a {family} model."
            )
    for name in wanted:
        owner, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(owner), leaf, _parameter(tensors[name], dtype))
    _fill_buffers(module, next(module.parameters()).device)
    module.requires_grad_(False)
    module.eval()


def alias(tensor: Tensor) -> Tensor:
    """Another tensor over the same memory: same address, shape, strides, type and device.

    Not `detach()`: a host that runs under inference mode makes inference tensors, and those cannot
    take part in a backward pass; a tensor set over their storage outside of inference mode can. Of
    a tensor that is no plain one, a copy.
    """
    with torch.inference_mode(False):
        if type(tensor.data) is not Tensor:  # packed, such as a host's quantised weights
            return tensor.data.clone()
        empty = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        return empty.set_(
            tensor.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride()
        )


def _parameter(tensor: Tensor, dtype: torch.dtype | None) -> nn.Parameter:
    with torch.inference_mode(False):
        shared = alias(tensor)
        return nn.Parameter(shared if dtype is None else shared.to(dtype), requires_grad=False)


def _fill_buffers(module: nn.Module, device: torch.device) -> None:
    """Non-persistent buffers are in no file; the text encoder's position numbers are the only."""
    for name, buffer in list(module.named_buffers()):
        if not buffer.is_meta:
            continue
        if name.rpartition(".")[2] != "position_ids":
            raise EvenframeError(
                f"The buffer '{name}' of this version of the model library is not known: install "
                "a version of diffusers and transformers that Evenframe was tested with."
            )
        owner, _, leaf = name.rpartition(".")
        with torch.inference_mode(False):
            numbers = torch.arange(buffer.shape[-1], device=device).expand(buffer.shape)
        module.get_submodule(owner).register_buffer(leaf, numbers, persistent=False)
