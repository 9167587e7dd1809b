"""Files as cameras and editors leave them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np


def write(path: Path, pictures: Iterable[np.ndarray], **options: str) -> Path:
    """Pictures (h, w, 3) uint8 as H.264 in 4:2:0, 24 a second. options: of the encoder."""
    import av

    with av.open(str(path), "w") as container:
        stream = None
        for pixels in pictures:
            if stream is None:
                chosen = {"preset": "veryfast", **options}
                stream = container.add_stream("libx264", rate=24, options=chosen)
                stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode(None))
    return path


def waves(width: int, height: int, frames: int) -> Iterator[np.ndarray]:
    """(h, w, 3) uint8: grey waves that move."""
    rows, columns = np.mgrid[:height, :width] / width
    for index in range(frames):
        grey = 127 + 100 * np.sin(40 * columns + index / 4) * np.cos(30 * rows)
        yield np.repeat(grey.astype(np.uint8)[..., None], 3, -1)
