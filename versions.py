"""Of the code that results depend on."""

from importlib.metadata import PackageNotFoundError, version

import torch


def versions() -> dict[str, str]:
    """Of the code, to be read before the work."""
    from . import __version__

    found = {"evenframe": __version__, "torch": str(torch.__version__)}
    for name in ("diffusers", "transformers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a copy that was not installed has no metadata
            found[name] = "unknown"
    return found
