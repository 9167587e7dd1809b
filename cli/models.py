"""`evenframe models`: the models that workflows can name, and what keeps some from working."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from ..pipelines.common.errors import one_line
from .run import folders


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", action="append", type=Path, metavar="DIR", help="a folder of models"
    )


def run(options: argparse.Namespace) -> int:
    """Print every model by kind and name, and each package that is missing."""
    from ..nodes.host import ModelKind, host
    from ..nodes.host.standalone import Session, StandaloneHost
    from ..nodes.model import BUILT_IN, model_options
    from ..pipelines.regions.tracking import packages

    assert isinstance(host, StandaloneHost)
    session = Session.from_environment(**folders(options))
    with host.using(session):
        for name in filter(BUILT_IN.__contains__, model_options()):
            print(f"built in     {name}")
        for kind in get_args(ModelKind):
            for name in host.model_names(kind):
                print(f"{kind:<12} {one_line(name)}")
    print(f"looked in {', '.join(str(root.resolve()) for root in session.models)}")
    for told in filter(None, map(packages.fault, packages.NEEDS)):
        print(told)
    return 0
