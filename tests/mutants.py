"""Whether the tests would notice: small faults, one at a time, in a copy of the code.

    python tests/mutants.py              # all of mutants.toml; `make mutants`
    python tests/mutants.py seed key     # those whose description has one of these words

Each is put into a copy of the tree in a temporary folder, where the quick tests that are named
with it are run until the first fails. It is killed by a test that fails, and survives where all
pass. Ends with 1 where more than `MAY_SURVIVE` do, or where the list does not fit the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import diffusers  # noqa: F401  # loaded once for all
import pytest
import torch  # noqa: F401
import transformers  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
MAY_SURVIVE = 2


@dataclass(frozen=True)
class Mutant:
    """A fault: a text of a file, which is there once, and what stands in its place.

    breaks: what it does wrong. tests: the files or tests that should notice.
    """

    file: str
    old: str
    new: str
    breaks: str
    tests: tuple[str, ...]

    def outcome(self, tree: Path) -> str:
        """ "killed", "survived", or why there is none."""
        path = tree / self.file
        code = path.read_text(encoding="utf-8")
        if code.count(self.old) != 1:
            return f"stale: {self.old!r} stands {code.count(self.old)} times in {self.file}"
        path.write_text(code.replace(self.old, self.new), encoding="utf-8")
        try:
            status = quick_tests(tree, self.tests)
        finally:
            path.write_text(code, encoding="utf-8")
        known: dict[int | None, str] = {0: "survived", 1: "killed"}
        return known.get(status, f"stale: pytest ended with {status}")


def mutants(words: list[str]) -> list[Mutant]:
    """The list, or those of it that have one of the words in their description."""
    text = (ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8")
    every = [Mutant(**each) for each in tomllib.loads(text)["mutant"]]
    return [one for one in every if not words or any(word in one.breaks for word in words)]


def copied(folder: Path) -> Path:
    """The tree as it is here, without what git does not know."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    tree = folder / "evenframe"
    for name in filter(None, names.split("\0")):
        source, copy = ROOT / name, tree / name
        if source.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)
    return tree


def quick_tests(tree: Path, tests: Sequence[str], shown: bool = False) -> int | None:
    """Pytest's exit code, of a process of its own that has the heavy libraries from this one."""
    process = get_context("fork").Process(target=_pytest, args=(tree, tests, shown))
    process.start()
    process.join()
    return process.exitcode


def _pytest(tree: Path, tests: Sequence[str], shown: bool) -> None:
    os.chdir(tree)
    sys.path.insert(0, str(tree.parent))
    sys.dont_write_bytecode = True
    if not shown:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    os._exit(pytest.main(["-qx", "-m", "not slow", "-p", "no:cacheprovider", *tests]))


def main() -> int:
    chosen, found = mutants(sys.argv[1:]), Counter[str]()
    with TemporaryDirectory(prefix="evenframe-mutants-") as folder:
        tree = copied(Path(folder))
        if quick_tests(tree, sorted({test for one in chosen for test in one.tests}), shown=True):
            print("They fail without any fault: mend that first.")
            return 1
        for one in chosen:
            outcome = one.outcome(tree)
            found[outcome.partition(":")[0]] += 1
            print(f"{outcome:<10} {one.breaks} ({one.file})", flush=True)
    print(", ".join(f"{count} {outcome}" for outcome, count in found.items()))
    return int(found["survived"] > MAY_SURVIVE or found["stale"] > 0)


if __name__ == "__main__":
    sys.exit(main())
