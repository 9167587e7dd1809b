"""The decoder of a stream, where libav's first choice would lose something or cost too much."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..common.progress import OnNote
from .unpacking import PNG_CODECS, without_text

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.video.stream import VideoStream

# libav's own decoders leave the transparency out, which is a second picture beside the first.
WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}

Decode = Callable[["Packet | None"], "list[VideoFrame]"]


def decoder_of(stream: "VideoStream", note: OnNote) -> Decode:
    """A function (packet) -> frames; None in the place of a packet asks for those still held."""
    name = stream.codec_context.name
    if name in PNG_CODECS:
        return _without_text(stream)
    tags = {tag.lower(): value for tag, value in stream.metadata.items()}
    if name in WITH_ALPHA and tags.get("alpha_mode") == "1":
        return _with_alpha(stream, WITH_ALPHA[name], note)
    return stream.decode


def safe_codecs() -> str:
    """What may decode while a file is opened: all but those whose packets need a look first."""
    import av

    return ",".join(sorted(av.codecs_available - PNG_CODECS))


def _with_alpha(stream: "VideoStream", name: str, note: OnNote) -> Decode:
    from av import CodecContext
    from av.codec.codec import UnknownCodecError

    try:
        context = CodecContext.create(name, "r")
    except UnknownCodecError:
        note(
            "The video has transparency, which this build of PyAV cannot read (it has no "
            f"{name}): colours show that should be hidden. Install another PyAV, or convert "
            "the file."
        )
        return stream.decode
    return context.decode  # type: ignore[return-value]


def _without_text(stream: "VideoStream") -> Decode:
    from av import Packet

    context = stream.codec_context
    if context.extradata:
        context.extradata = without_text(context.extradata)

    def decode(packet: "Packet | None") -> "list[VideoFrame]":
        if packet is None or packet.size == 0:
            return stream.decode(packet)
        slim = Packet(without_text(bytes(packet)))
        slim.pts, slim.dts, slim.duration = packet.pts, packet.dts, packet.duration
        slim.time_base = packet.time_base
        slim.is_keyframe = packet.is_keyframe  # others are added to the picture before them
        return stream.decode(slim)

    return decode
