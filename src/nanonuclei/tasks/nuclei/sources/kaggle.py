"""The Data Science Bowl 2018 as Kaggle has it, which asks for an account."""

from __future__ import annotations

import os
from pathlib import Path

from nanonuclei.errors import DataError
from nanonuclei.invocation import option
from nanonuclei.tasks.nuclei.sources.servers import elsewhere, one_line

KAGGLE_COMPETITION = "data-science-bowl-2018"
KAGGLE_FILE = "stage1_train.zip"

VARIABLES = ("KAGGLE_API_TOKEN", "KAGGLE_KEY", "KAGGLE_KERNEL_RUN_TYPE")
"""Environment variables of which one is set where Kaggle's client finds credentials, or needs none."""
TOKENS = ("access_token", "access_token.txt")
"""Files of the folder `.kaggle` beside the one that is called `kaggle.json`."""


def check_kaggle() -> None:
    """Makes sure that there is a sign of credentials, or of an earlier download; Kaggle's client itself reads them.

    Raises:
        DataError: There is none.
    """
    home = Path("~").expanduser()
    own = Path(os.environ.get("KAGGLE_CONFIG_DIR") or home / ".kaggle")
    kept = Path(os.environ.get("KAGGLEHUB_CACHE") or home / ".cache" / "kagglehub")
    files = (own / "kaggle.json", *(home / ".kaggle" / name for name in TOKENS), kept / "competitions")
    if not any(os.environ.get(name) for name in VARIABLES) and not any(path.exists() for path in files):
        raise _without_credentials("there are none")


def download_from_kaggle() -> Path:
    """Returns the path of the competition's training zip, which Kaggle's client downloads and keeps.

    Raises:
        DataError: There are no valid credentials, or Kaggle refuses or does not answer.
    """
    import kagglehub
    from kagglehub.exceptions import KaggleApiHTTPError, UnauthenticatedError

    try:
        return Path(kagglehub.competition_download(KAGGLE_COMPETITION, path=KAGGLE_FILE))
    except (UnauthenticatedError, ValueError) as error:
        raise _without_credentials(one_line(error)) from error
    except KaggleApiHTTPError as error:
        raise DataError(f"Kaggle refuses {KAGGLE_COMPETITION}/{KAGGLE_FILE}: {one_line(error)}. {_remedy()}") from error
    except Exception as error:  # the client raises types of its own and of the libraries below it
        raise DataError(f"Kaggle cannot be read: {one_line(error)}. Try again, or {elsewhere()}") from error


def _without_credentials(why: str) -> DataError:
    return DataError(f"Kaggle needs valid credentials: {why}. {_remedy()}")


def _remedy() -> str:
    return (
        "Put an API token from https://www.kaggle.com/settings into ~/.kaggle/kaggle.json, or set KAGGLE_USERNAME and "
        "KAGGLE_KEY (or KAGGLE_API_TOKEN), and accept the rules at "
        f"https://www.kaggle.com/competitions/{KAGGLE_COMPETITION}/rules. Without an account take "
        f"`{option('source', 'public')}`"
    )
