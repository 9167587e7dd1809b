"""The folder by which ComfyUI finds the pack's example workflows.

`example_workflows` is a symbolic link to `examples_workflows`. Git writes a link as a text file
where links are switched off, as it does on many Windows machines, and ComfyUI then takes the file
for a folder and does not start. Some tools that pack or copy make an empty folder of it, and then
there are no templates.
"""

from __future__ import annotations

import shutil
from pathlib import Path

SOURCE, LINK = "examples_workflows", "example_workflows"


def mend_link(pack: Path) -> None:
    """Where the link became a text file or an empty folder, make it again, or copy the folder."""
    link = pack / LINK
    if not _is_broken(link) or not (pack / SOURCE).is_dir():
        return
    try:
        link.rmdir() if link.is_dir() else link.unlink()
    except OSError:  # the pack cannot be written to; it works without templates
        return
    try:
        link.symlink_to(SOURCE, target_is_directory=True)
    except OSError:  # Windows without the right to make links
        shutil.copytree(pack / SOURCE, link)


def _is_broken(link: Path) -> bool:
    """Whether this is what git or a packing tool makes of the link; nothing of anybody else's."""
    if link.is_symlink():
        return False
    if link.is_dir():
        return not any(link.iterdir())
    return link.is_file() and link.read_bytes().strip() == SOURCE.encode()
