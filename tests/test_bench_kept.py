"""What benches keep of each clip."""

from pathlib import Path
from typing import Any

import pytest

from evenframe.benchmarks import kept as keeping
from evenframe.benchmarks.kept import kept


def test_what_was_measured_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = list[str]()

    def tried(name: str, facts: object, folder: Path | None = tmp_path / "new") -> dict[str, Any]:
        def make() -> dict[str, Any]:
            asked.append(name)
            if len(asked) == 2:
                raise KeyboardInterrupt
            return {"times": len(asked), "nothing": float("nan")}

        return kept(folder, name, facts, make)

    assert tried("a", 25)["times"] == 1
    with pytest.raises(KeyboardInterrupt):
        tried("b", 25)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]
    again = tried("a", 25)
    assert again["times"] == 1 and again["nothing"] != again["nothing"] and asked == ["a", "b"]
    assert tried("a", 50)["times"] == 3, "other facts are another clip"
    assert tried("a", 50)["times"] == 3
    monkeypatch.setattr(keeping, "code_hash", lambda: "other code")
    assert tried("a", 50)["times"] == 4
    monkeypatch.setattr(keeping, "bench_hash", lambda: "another judge")
    assert tried("a", 50)["times"] == 5
    assert tried("a", 50, None)["times"] == 6 and tried("a", 50, None)["times"] == 7
