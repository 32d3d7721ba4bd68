"""Commands on what runs recorded and left over: `lineage`, `clean`."""

from __future__ import annotations

import argparse

from nanonuclei.commands.checks import check_model
from nanonuclei.commands.options import MODEL, Stages, switch


def add_to(stages: Stages) -> None:
    """Tells the parser their options."""
    lineage = stages.add_parser("lineage", help="print and verify which data, code and settings made a model")
    lineage.add_argument("reference", metavar=MODEL)
    lineage.set_defaults(run=run_lineage)

    clean = stages.add_parser("clean", help="list what killed processes and deleted runs left over, or remove it")
    switch(clean, "--apply", "remove it (only list it)")
    clean.set_defaults(run=run_clean)


def run_lineage(options: argparse.Namespace) -> int:
    """Prints and verifies what made a model; 1 where it does not hold."""
    check_model(options.reference)
    from nanonuclei.stages.shipped.lineage import lineage

    return 0 if lineage(options.reference) else 1


def run_clean(options: argparse.Namespace) -> None:
    """Lists or removes what is left over."""
    from nanonuclei.stages.clean.clean import clean

    clean(apply=options.apply)
