"""Which settings of a config play which role: what is compared, resumed, searched and changed follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nanonuclei.config.section import Role, Section

STRUCTURE = (Role.NETWORK, Role.LOSS)
"""Roles of the settings that a training takes from the model that it begins with."""


def paths_of(config: Section, roles: Iterable[Role]) -> tuple[str, ...]:
    """Returns the dotted paths of the settings that play one of some roles, in the order of the config.

    Args:
        config: An experiment's config, or a section of one.
        roles: The roles.
    """
    wanted = set(roles)
    return tuple(path for path, role in _walk(config, above="", role=config.role) if role in wanted)


def role_of(config: Section, path: str) -> Role | None:
    """Returns the role of a setting by its dotted path; None where it has none, such as the seed."""
    return dict(_walk(config, above="", role=config.role)).get(path)


def sections_of(config: Section, roles: Iterable[Role]) -> tuple[str, ...]:
    """Returns the names of the sections that play one of some roles."""
    wanted = set(roles)
    return tuple(name for name in type(config).model_fields if _own(getattr(config, name)) in wanted)


def _own(value: object) -> Role | None:
    return value.role if isinstance(value, Section) else None


def _walk(section: Section, *, above: str, role: Role | None) -> Iterator[tuple[str, Role | None]]:
    for name in type(section).model_fields:
        value, path = getattr(section, name), f"{above}{name}"
        own = section.roles.get(name, role)
        if isinstance(value, Section):
            yield from _walk(value, above=f"{path}.", role=value.role or own)
        else:
            yield path, own
