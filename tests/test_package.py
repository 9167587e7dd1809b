"""The package as it is installed and shipped."""

from __future__ import annotations

import evenframe


def test_version_is_a_release():
    assert evenframe.__version__.count(".") == 2
