"""Run by test_native.py in a process of its own: what other nodes have put on a MODEL or beside it.

Not a test itself: it ends with an AssertionError where something is taken for what it is not.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from evenframe.benchmarks import host_models, native
from evenframe.benchmarks.stand_ins import RandomLatents, WordStates
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.editing import edit
from evenframe.pipelines.source.inversion import invert


def main() -> None:
    assert not host_models.find()
    with torch.inference_mode():
        model = host_models.sd()
        patcher: Any = model.denoiser.patcher  # type: ignore[attr-defined]
        refused(patcher)
        another_clip(model, patcher)
        tokenizers()
        sizes()
        pictures()
        one_block()


def refused(patcher: Any) -> None:
    """What adds tokens to a prompt is named."""
    from evenframe.nodes.host.native.model import host_model

    lengthened = patcher.clone()
    lengthened.set_model_attn2_patch(lambda q, k, v, _: (q, k.repeat(1, 2, 1), v.repeat(1, 2, 1)))
    with pytest.raises(
        EvenframeError, match="to 154 tokens in block input.1.0, but the prompt has 77"
    ):
        host_model(lengthened, WordStates(64, 77), RandomLatents(4), "")


def another_clip(model: Any, patcher: Any) -> None:
    """Named by its width, as is a conditioning that it has made."""
    from evenframe.nodes.host.native.model import host_model, width_of
    from evenframe.nodes.host.native.text import HostText

    with pytest.raises(EvenframeError, match="The CLIP makes 48 numbers .* 'SD15' takes 64"):
        host_model(patcher, WordStates(48, 77), model.codec, "")
    assert width_of(host_models.wan().denoiser.patcher) == 64  # type: ignore[attr-defined]
    with pytest.raises(EvenframeError, match="has 48 numbers for each token, .* takes 64"):
        HostText("", None, 64).wrapped("a cat", [[torch.zeros(1, 77, 48), {}]])


def tokenizers() -> None:
    """An embedding longer for one of SDXL's text encoders shifts the words behind it."""
    from comfy.sdxl_clip import SDXLTokenizer
    from safetensors.torch import save_file

    from evenframe.nodes.host.native.text import SHIFTED, HostText

    with TemporaryDirectory() as folder:
        vectors = {"clip_l": torch.ones(3, 768), "clip_g": torch.ones(2, 1280)}
        save_file(vectors, Path(folder, "own.safetensors"))
        tokenizer = SDXLTokenizer(embedding_directory=folder)
        clip = SimpleNamespace(tokenize=tokenizer.tokenize_with_weights)
        text = HostText("", clip)
        for prompt, shifted in (
            ("a cat embedding:own", False),
            ("a cat embedding:own runs", True),
            ("a cat runs", False),
        ):
            made = text.wrapped(prompt, [[torch.zeros(1, 77, 2048), {}]])
            assert made.notes == ((SHIFTED,) if shifted else ()), prompt
        # One of them begins a second row, and the states are cut to the other's.
        long = text.wrapped("a cat " * 36 + "embedding:own", [[torch.zeros(1, 77, 2048), {}]])
        assert len(long.states["tokens"]) == 77


def sizes() -> None:
    """Kinds that derive from another were trained on frames of its size."""
    import comfy.supported_models as host

    from evenframe.nodes.host.native.model import native_size_of

    def size(kind: str) -> int:
        config = getattr(host, kind)({})
        return native_size_of(SimpleNamespace(model=SimpleNamespace(model_config=config)))

    for kind in ("SDXL", "SSD1B", "Segmind_Vega", "KOALA_700M", "KOALA_1B", "SDXLRefiner"):
        assert size(kind) == 1024, kind
    for kind in host.models:
        if issubclass(kind, host.WAN21_T2V):
            assert size(kind.__name__) == (960 if kind is host.WAN22_T2V else 640), kind
    assert [size(kind) for kind in ("SD15", "SD20", "SD21UnclipL")] == [512, 768, 768]


def wan(kind: str, layers: int, **more: Any) -> Any:
    """A narrow transformer of Wan's layout, as a patcher."""
    import comfy.model_base

    layout = dict(host_models.wan().denoiser.patcher.model.model_config.unet_config)  # type: ignore[attr-defined]
    layout |= {"num_layers": layers, "dtype": torch.float32, **more}

    class Base(comfy.model_base.WAN21):
        def __init__(self, config: Any):
            super().__init__(config, image_to_video=kind == "WAN21_I2V")

    patcher = host_models._patcher(kind, Base, layout)
    host_models._randomise(patcher.model.diffusion_model)
    return patcher


def pictures() -> None:
    """Of a block that looks at a picture too, the call over the prompt alone is a layer."""
    from evenframe.nodes.host.native.model import host_model

    patcher = wan("WAN21_I2V", 2, model_type="i2v", in_dim=36)
    model = host_model(patcher, WordStates(64, 64), RandomLatents(16, 4, 16), "")
    assert [site.name for site in model.denoiser.sites] == [
        *("double.0.self0", "double.0.cross2", "double.1.self0", "double.1.cross2")
    ]
    picture = SimpleNamespace(penultimate_hidden_states=torch.ones(1, 257, 1280))

    def encoded(text: str) -> Any:
        return replace(model.text.encode(text), host=[[None, {"clip_vision_output": picture}]])

    seen: list[int] = []
    frames = torch.rand(5, 64, 64, 3)
    inversion = invert(model, frames, encoded(native.SOURCE), steps=2)

    def noted(call: Any, plain: Any) -> Any:
        seen.append(call.k.shape[-2] if call.site.kind == "cross" else 64)
        return plain

    target, level = encoded(native.TARGET), model.schedule.at(model.schedule.times(2)[0])
    model.run(
        {"target": target},
        inversion.trajectory[-1],
        lambda held: held.denoiser.predict(
            inversion.trajectory[-1], level, {"target": target}, attend=noted
        ),
    )
    assert seen == [64] * 4
    edit(model, inversion, target, controls=[Fusion()])


def one_block() -> None:
    """A model of a single block begins it again with each run."""
    from evenframe.nodes.host.native.model import host_model
    from evenframe.nodes.host.native.sites import Calls

    for kind, per_block, more in (
        ("WAN21_T2V", 2, {}),
        ("WAN21_I2V", 3, {"model_type": "i2v", "in_dim": 36}),
    ):
        text, codec = WordStates(64, 64), RandomLatents(16, 4, 16)
        model = host_model(wan(kind, 1, **more), text, codec, "")
        place = model.denoiser.places  # type: ignore[attr-defined]
        [most] = {1 + max(number for _, number in place)}
        assert most == per_block
        [at] = {where for where, _ in place}
        calls = Calls({at: most})
        options = {"block_type": at[0], "block_index": at[1]}
        numbers = [calls.number(options)[1] for _ in range(2 * most)]
        assert numbers == [*range(most)] * 2


if __name__ == "__main__":
    main()
