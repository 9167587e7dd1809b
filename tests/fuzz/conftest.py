"""The fuzzers: a few cases of each in `make test`, as many as you like in `make fuzz`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from fuzz.probe import Probe

PROBE = pytest.StashKey[Probe]()


@pytest.fixture(scope="session")
def probe(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Probe]:
    """Lets a target have a case, in a process of its own."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no /proc: a case's memory cannot be measured")
    probe = Probe(tmp_path_factory.mktemp("fuzz"))
    request.config.stash[PROBE] = probe
    yield probe
    probe.close()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What became of all cases."""
    probe = config.stash.get(PROBE, None)
    if probe is None:
        return
    kinds = ("taken", "refused", "raised", "hang", "memory")
    terminalreporter.section("fuzzed cases")
    header = "".join(f"{kind:>9}" for kind in kinds)
    terminalreporter.write_line(f"{'':<12}{'cases':>9}{header}{'most s':>9}{'most MB':>9}")
    for name, tally in sorted(probe.tallies.items()):
        counts = [tally.kinds.get(kind, 0) for kind in kinds]
        row = "".join(f"{count:>9}" for count in (sum(counts), *counts))
        terminalreporter.write_line(
            f"{name:<12}{row}{tally.seconds:>9.1f}{tally.bytes / 1e6:>9.0f}"
        )
