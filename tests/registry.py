"""The pack as ComfyUI's registry delivers it: packed by the registry's own tool, and unpacked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / ".venv" / "registry" / "bin"
LISTING = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
RUN: dict[str, Any] = {"cwd": ROOT, "capture_output": True, "text": True}
# Nothing is told to anybody, and nothing is asked for.
QUIET = {"DO_NOT_TRACK": "1", "COMFY_NO_UPDATE_CHECK": "1"}


def missing(*tools: str) -> str:
    """Why tests that need these programs of the registry's tools are skipped; empty: they run."""
    absent = [name for name in tools if not (TOOLS / name).exists()]
    if absent:
        return f"no {', '.join(absent)}: `make test` installs it where the package index has it"
    if shutil.which("git") is None or subprocess.run([*LISTING, "README.md"], **RUN).returncode:
        return "no git checkout: the registry's tool packs what git tracks"
    return ""


def pack_and_unpack(folder: Path) -> Path:
    """The pack that a user gets, in `folder/unpacked/evenframe`.

    The tool packs what git tracks in the folder that it runs in: it is given a copy of the files
    that git tracks here, or would if they were added.
    """
    copy, unpacked = folder / "packed", folder / "unpacked" / "evenframe"
    names = subprocess.run(LISTING, **RUN).stdout
    for name in filter(lambda name: name and os.path.lexists(ROOT / name), names.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    for command in (["git", "init", "--quiet"], ["git", "add", "--all"]):
        subprocess.run(command, cwd=copy, check=True)
    home = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    subprocess.run(
        [TOOLS / "comfy", "--skip-prompt", "node", "pack"],
        cwd=copy,
        check=True,
        capture_output=True,
        env=os.environ | QUIET | home,
    )
    shutil.unpack_archive(copy / "node.zip", unpacked)
    return unpacked
