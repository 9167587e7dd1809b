"""The walk-through of docs/batch.md, held against the program."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from evenframe.__main__ import main, parser

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, flags=re.M | re.S)


def commands() -> list[list[str]]:
    """What the page has people type after `evenframe`."""
    text = "\n".join(BLOCKS).replace("\\\n", " ")
    return [
        shlex.split(line.partition("evenframe ")[2])
        for line in re.findall(r"^ *(?:docker compose .*? )?evenframe .*$", text, flags=re.M)
    ]


@pytest.mark.parametrize("command", commands(), ids=lambda command: " ".join(command)[:60])
def test_a_command_is_one(command: list[str]):
    options = parser().parse_args(command)
    assert options.command in ("run", "batch", "report")


def test_every_option_is_told():
    said = subprocess.run(
        [sys.executable, "-m", "evenframe", "batch", "--help"], capture_output=True, text=True
    )
    names = set(re.findall(r"--[a-z-]+", said.stdout))
    assert {"--workflow", "--server"} <= names
    assert {name for name in names if name not in PAGE} <= {
        "--help",
        "--debug",
        "--models",
    }


def test_the_walk_through_of_one_machine_is_ready_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (table,) = [block for block in BLOCKS if block.startswith("target\n")]
    (tmp_path / "studio").mkdir()
    (tmp_path / "studio" / "table.csv").write_text(table)
    (tmp_path / "examples_workflows").symlink_to(ROOT / "examples_workflows")
    monkeypatch.chdir(tmp_path)
    (command,) = [each for each in commands() if "--dry-run" in each]
    assert main(command) == 0
    said = capsys.readouterr().out.strip()
    assert f"says `{said}`" in PAGE.replace("\n", " ")
    assert not (tmp_path / "studio" / "out").exists(), "a dry run leaves nothing"


def test_the_compose_file_is_a_head_and_two_workers():
    found = yaml.safe_load((ROOT / "docs" / "cluster" / "compose.yaml").read_text())
    services = found["services"]
    assert set(services) == {"head", "worker-1", "worker-2"}
    for name, service in services.items():
        assert service["command"].startswith("ray start --head" if name == "head" else "ray start")
        assert service["command"].endswith("--block")
        assert "ports" not in service, "nobody outside reaches it"
        assert service["environment"]["RAY_AUTH_MODE"] == "token"
        assert (ROOT / "docs" / "cluster" / service["build"]["context"]).resolve() == ROOT
        assert (ROOT / service["build"]["dockerfile"]).is_file()
    assert all("--address=head:6379" in services[f"worker-{n}"]["command"] for n in (1, 2))
