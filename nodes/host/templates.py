"""The folder by which ComfyUI finds the pack's example workflows.

`example_workflows` is a symbolic link to `examples_workflows`. Git writes a link as a text file
where links are switched off, as it does on many Windows machines, and ComfyUI then takes the file
for a folder and does not start.
"""

from __future__ import annotations

import shutil
from pathlib import Path

SOURCE, LINK = "examples_workflows", "example_workflows"


def mend_link(pack: Path) -> None:
    """Where the link became a text file, put a link in its place, or else a copy of the folder."""
    link = pack / LINK
    if link.is_dir() or not link.is_file() or link.read_bytes().strip() != SOURCE.encode():
        return
    link.unlink()
    try:
        link.symlink_to(SOURCE, target_is_directory=True)
    except OSError:  # Windows without the right to make links
        shutil.copytree(pack / SOURCE, link)
