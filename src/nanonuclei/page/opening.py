"""Opens the page with a model: what the command line calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nanonuclei.config.params import parse_settings
from nanonuclei.config.section import Role
from nanonuclei.errors import NanonucleiError
from nanonuclei.packaged import how_to_install
from nanonuclei.serving.named import open_model
from nanonuclei.stages.places import PARAMS
from nanonuclei.stages.settings import check_changeable


def open_page(
    model: str,
    host: str,
    port: int,
    *,
    settings: Sequence[str] = (),
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serves the page of a model until it is interrupted.

    Args:
        model: See `serving.named.find_model`.
        host: Address of this machine.
        port: Of this machine; 0 for any that is free.
        settings: Texts ``path=value`` that say how objects are read; the page begins with them.
        browser: Whether to open a browser, where this machine has a screen.
        say: Told what the user should read.

    Raises:
        ConfigError: A setting is not one of those that may be changed, or the address cannot be used.
        DataError: A model that comes along was changed.
        NanonucleiError: A package of the page is not installed.
        TrackingError: There is no such model.
    """
    try:
        from nanonuclei.page.server import Address, serve
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("nanonuclei"):
            raise
        raise NanonucleiError(
            f"the page needs the package {error.name}, which is not installed: {how_to_install('page')}"
        ) from error
    changed = parse_settings([text for text in settings if text])
    opened = open_model(model, settings=changed, missing_from=PARAMS)
    check_changeable(opened.config, changed, roles=(Role.READING,), stage="page")
    for line in opened.trained_on():
        say(line)
    serve(opened, Address(host, port), browser=browser, say=say)
