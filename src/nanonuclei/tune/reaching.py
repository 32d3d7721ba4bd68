"""Does the database of a search answer: one short look without Optuna, and what is told where it does not."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from nanonuclei.errors import without_password
from nanonuclei.tune.base import Search, UnreachableError

LOOK_SECONDS = 5
"""How long one address of a server may take to answer a look."""

SQLITE = "sqlite:///"
TRIALS = (
    "select t.state, (select count(*) from trial_user_attributes a where a.trial_id = t.trial_id and a.key = "
    "'retry_of') from trials t join studies s on s.study_id = t.study_id where s.study_name = {}"
)
"""State of each trial of a study, and whether it repeats another one, as Optuna's tables hold them."""
ENDED = ("COMPLETE", "PRUNED", "FAIL")
"""Optuna's words for trials that have ended."""

STARTING = "the database system is"
"""What PostgreSQL says while it starts or ends, and a search waits."""


def check_reachable(url: str | None) -> None:
    """Connects once to a PostgreSQL database; one that starts just now, and other storages, are left to the search.

    Args:
        url: Of the storage, such as ``postgresql://USER@HOST/DATABASE``.

    Raises:
        UnreachableError: It does not answer, or refuses the user or database.
    """
    kind, _, rest = (url or "").partition("://")
    if url is None or kind.partition("+")[0] != "postgresql":
        return
    try:
        import psycopg
    except ImportError:  # the search tells what is to be installed
        return
    try:
        with contextlib.suppress(psycopg.ProgrammingError):  # words that only the search's own driver knows
            psycopg.connect(f"postgresql://{rest}", connect_timeout=LOOK_SECONDS).close()
    except psycopg.OperationalError as error:
        if STARTING not in str(error):
            raise unreachable(without_password(url), error) from None


def ended_in_database(search: Search) -> int | None:
    """Returns how many trials of a search that Optuna keeps have ended, repetitions aside; None where others have not.

    Args:
        search: Whose database is looked at; nothing is made, and Optuna is not imported.
    """
    url = search.storage or f"{SQLITE}{search.folder / 'study.db'}"
    with contextlib.suppress(Exception):  # whatever a driver may raise: the search itself tells
        rows = _in_file(url.removeprefix(SQLITE), search) if url.startswith(SQLITE) else _on_server(url, search)
        return sum(not repeats for _, repeats in rows) if {state for state, _ in rows} <= set(ENDED) else None
    return None


def _in_file(path: str, search: Search) -> list[tuple[str, int]]:
    with contextlib.closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)) as database:
        return database.execute(TRIALS.format("?"), (search.study,)).fetchall()


def _on_server(url: str, search: Search) -> list[tuple[str, int]]:
    import psycopg

    address = f"postgresql://{url.partition('://')[2]}"
    with psycopg.connect(address, connect_timeout=LOOK_SECONDS) as database:
        rows = database.execute(TRIALS.format("%s"), (search.study,)).fetchall()  # type: ignore[arg-type]
    return [(str(state), int(repeats)) for state, repeats in rows]


def unreachable(shown: str, error: BaseException) -> UnreachableError:
    """Returns the one line that a user is told of a storage that does not answer."""
    return UnreachableError(
        f"the storage {shown} cannot be reached: {one_line(error)}. Check that its server runs, and host, port, user "
        "and database; a password comes from PGPASSFILE or PGPASSWORD. The search goes on with the same command"
    )


def one_line(error: BaseException) -> str:
    """Returns the first lines of a database's message as one, without SQL."""
    told = str(getattr(error, "orig", None) or error.__cause__ or error)
    return " ".join(told.partition("\n[SQL")[0].split()).rstrip(".?")[:300]
