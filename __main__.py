"""The command line: `python -m evenframe`, or `evenframe`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run one command and return its exit code."""
    print("evenframe: no command yet", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
