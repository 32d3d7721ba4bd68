"""Does the database of a search answer: one short look without Optuna, and what is told where it does not."""

from __future__ import annotations

import contextlib

from nanonuclei.errors import without_password
from nanonuclei.tune.base import UnreachableError

LOOK_SECONDS = 5
"""How long one address of a server may take to answer a look."""

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
