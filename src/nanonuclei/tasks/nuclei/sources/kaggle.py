"""The Data Science Bowl 2018 as Kaggle has it, which asks for an account."""

from __future__ import annotations

from pathlib import Path

from nanonuclei.errors import DataError
from nanonuclei.invocation import option
from nanonuclei.tasks.nuclei.sources.servers import elsewhere, one_line

KAGGLE_COMPETITION = "data-science-bowl-2018"
KAGGLE_FILE = "stage1_train.zip"


def check_kaggle() -> None:
    """Makes sure that there are credentials; without them Kaggle's client looks only at what it downloaded before.

    Raises:
        DataError: There are none, or they cannot be read, and there is no earlier download.
    """
    from kagglehub.config import get_kaggle_credentials

    try:
        known = get_kaggle_credentials()
    except ValueError:
        known = None
    if known is None:
        download_from_kaggle()


def download_from_kaggle() -> Path:
    """Returns the path of the competition's training zip, which Kaggle's client downloads and keeps.

    Raises:
        DataError: There are no valid credentials, or Kaggle refuses or does not answer.
    """
    import kagglehub
    from kagglehub.exceptions import KaggleApiHTTPError, UnauthenticatedError

    remedy = (
        f"Put an API token from https://www.kaggle.com/settings into ~/.kaggle/kaggle.json, or set KAGGLE_USERNAME and "
        f"KAGGLE_KEY (or KAGGLE_API_TOKEN), and accept the rules at "
        f"https://www.kaggle.com/competitions/{KAGGLE_COMPETITION}/rules. Without an account take "
        f"`{option('source', 'public')}`"
    )
    try:
        return Path(kagglehub.competition_download(KAGGLE_COMPETITION, path=KAGGLE_FILE))
    except (UnauthenticatedError, ValueError) as error:
        raise DataError(f"Kaggle needs valid credentials: {one_line(error)}. {remedy}") from error
    except KaggleApiHTTPError as error:
        raise DataError(f"Kaggle refuses {KAGGLE_COMPETITION}/{KAGGLE_FILE}: {one_line(error)}. {remedy}") from error
    except Exception as error:  # the client raises types of its own and of the libraries below it
        raise DataError(f"Kaggle cannot be read: {one_line(error)}. Try again, or {elsewhere()}") from error
