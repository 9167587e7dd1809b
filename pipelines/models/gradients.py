"""A model whose weights stay, differentiated with respect to its input."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from ..files.assemble import alias


@contextmanager
def ordinary_weights(module: nn.Module) -> Iterator[None]:
    """Inside, no weight of the module is an inference tensor, which autograd refuses to keep.

    A host that works under inference mode makes such tensors when it moves a model. The weights in
    their place share the memory; they go again at the end.
    """
    replaced = [
        (owner, name, weight)
        for owner in module.modules()
        for name, weight in owner.named_parameters(recurse=False)
        if weight.is_inference()
    ]
    try:
        for owner, name, weight in replaced:
            setattr(owner, name, nn.Parameter(alias(weight), requires_grad=False))
        yield
    finally:
        for owner, name, weight in replaced:
            setattr(owner, name, weight)


@contextmanager
def checkpointed(unet: Any, last: str) -> Iterator[None]:
    """Inside, the blocks of a diffusers UNet keep only their input for the backward pass.

    last: name of the layer after which the forward pass is left. The transformer that holds it
    keeps everything: an exception must not leave a block that is to be run again.
    """
    unet.enable_gradient_checkpointing(_run_again)
    try:
        unet.get_submodule(last.partition(".transformer_blocks")[0]).gradient_checkpointing = False
        yield
    finally:
        unet.disable_gradient_checkpointing()


def _run_again(block: nn.Module, *inputs: Any) -> Tensor:
    # Those of this pass: when it is run again, the block has its own.
    weights: dict[str, Tensor] = dict(block.named_parameters())

    def run(*inputs: Any) -> Tensor:
        return functional_call(block, weights, inputs, tie_weights=False)

    # The models here are deterministic: no random state needs to be kept.
    return checkpoint(run, *inputs, use_reentrant=False, preserve_rng_state=False)
