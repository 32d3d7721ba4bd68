"""Which registered model a server is told to serve: by an alias that it follows, or by a version. Light to import."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nanonuclei.errors import TrackingError
from nanonuclei.invocation import command
from nanonuclei.serving.shipped.places import shipped_names
from nanonuclei.tracking.database import RUN_ID, SHORT_RUN_ID, full_run_id
from nanonuclei.tracking.early.runs import check_holds_model, tags_of

_NAMED = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<number>\d+))")


@dataclass(frozen=True)
class Followed:
    """What a server serves: a registered model, by an alias that is followed, or by a version that stays.

    Attributes:
        name: Of the registered model.
        alias: Such as ``champion``; empty where a version is named.
        number: Of the version; empty where an alias is named.
    """

    name: str
    alias: str = ""
    number: str = ""

    def __str__(self) -> str:
        return f"models:/{self.name}{f'@{self.alias}' if self.alias else f'/{self.number}'}"

    def version(self) -> str:
        """Returns the number of the version that is wanted now; empty where there is no such model or alias.

        A server with accounts answers 403 for a model that does not exist.

        Raises:
            TrackingError: The tracking server does not answer.
        """
        if not self.alias:
            return self.number
        from nanonuclei.tracking.registry import at_alias  # MLflow takes seconds to load

        try:
            found = at_alias(self.name, self.alias)
        except TrackingError as error:
            if "Permission denied" in str(error):
                return ""
            raise
        return "" if found is None else str(found.version)


def parse_followed(reference: str) -> Followed:
    """Reads the URI of a registered model.

    Raises:
        TrackingError: It is none.
    """
    found = _NAMED.fullmatch(reference)
    if found is None:
        remedy = "Promote a run first, or name a model that is registered"
        if reference in shipped_names():
            registering = command("promote", task=reference, model=reference)
            remedy = f"Run `{registering}` once, then serve models:/{reference}@champion"
        elif RUN_ID.fullmatch(reference) or SHORT_RUN_ID.fullmatch(reference):
            run = full_run_id(reference)
            check_holds_model(run)
            task = (tags_of(run) or {}).get("task", "TASK")
            remedy = f"Run `{command('promote', task=task, run=run)}` once, then serve models:/{task}@champion"
        raise TrackingError(
            f"serve takes a registered model, models:/NAME@ALIAS or models:/NAME/VERSION, got {reference!r}. {remedy}"
        )
    return Followed(found["name"], found["alias"] or "", found["number"] or "")
