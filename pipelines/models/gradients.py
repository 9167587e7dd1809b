"""A model whose weights stay, differentiated with respect to its input."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from .files.assemble import alias


@contextmanager
def ordinary_weights(module: nn.Module) -> Iterator[None]:
    """Inside, no weight or buffer of the module is an inference tensor, which autograd refuses to
    keep.

    A host that works under inference mode makes such tensors when it moves a model. Those in their
    place share the memory; they go again at the end.
    """
    replaced = [
        (owner, name, tensor)
        for owner in module.modules()
        for tensors in (owner.named_parameters, owner.named_buffers)
        for name, tensor in tensors(recurse=False)
        if tensor.is_inference()
    ]
    try:
        for owner, name, tensor in replaced:
            ours = alias(tensor)
            if isinstance(tensor, nn.Parameter):
                ours = nn.Parameter(ours, requires_grad=False)
            setattr(owner, name, ours)
        yield
    finally:
        for owner, name, tensor in replaced:
            setattr(owner, name, tensor)


@contextmanager
def checkpointed(module: Any, last: Any) -> Iterator[None]:
    """Inside, the blocks of a diffusers model keep only their input for the backward pass.

    last: the block in which the forward pass is left, if it is. It keeps everything: an exception
    must not leave a block that is to be run again.
    """

    def run_again(block: nn.Module, *inputs: Any) -> Tensor:
        if block is last:
            return block(*inputs)
        # Weights and context variables of this pass: when it is run again, the block has its own.
        weights: dict[str, Tensor] = dict(block.named_parameters())
        context = copy_context()

        def run(*inputs: Any) -> Tensor:
            return context.run(functional_call, block, weights, inputs, tie_weights=False)

        # The models here are deterministic: no random state needs to be kept.
        return checkpoint(run, *inputs, use_reentrant=False, preserve_rng_state=False)

    module.enable_gradient_checkpointing(run_again)
    try:
        if hasattr(last, "gradient_checkpointing"):
            last.gradient_checkpointing = False
        yield
    finally:
        module.disable_gradient_checkpointing()
