"""What is wrong with a config, in the words of its settings: one line for each problem that pydantic found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from nanonuclei.config.section import starts_with
from nanonuclei.errors import nearest_name, similar_name

SETTING = "setting"
"""What messages call a setting of the command line."""


def problems_of(error: ValidationError, source: str, origins: Mapping[str, str]) -> list[str]:
    """Returns the problems of a config, a line each.

    Args:
        error: Of its validation.
        source: Where the settings come from.
        origins: Path of a setting that was changed to where that comes from.
    """
    problems = _joined(error.errors())
    lacking = [_path(problem) for problem in problems if problem["type"] == "missing"]
    return list(dict.fromkeys(_describe(problem, source, origins, lacking) for problem in problems))


def _joined(problems: Iterable[Any]) -> list[Any]:
    """Returns the problems, those of a value that fits no branch of a union as one."""
    found: dict[str, Any] = {}
    for problem in problems:
        path = _path(problem)
        if (first := found.get(path)) is None or problem["type"] != "literal_error":
            found[path] = problem if first is None else first
        else:
            found[path] = {**first, "msg": f"{first['msg']}, or {problem['ctx']['expected']}"}
    return list(found.values())


def _path(problem: Any) -> str:
    return ".".join(str(part) for part in problem["loc"] if not _is_branch(part))


def _is_branch(part: int | str) -> bool:
    """Pydantic names the branch of a union in a problem's place; it is no part of the path."""
    return part in ("float", "int", "choice") or str(part).startswith(("literal[", "constrained-"))


def _origin(path: str, message: str, origins: Mapping[str, str]) -> str | None:
    """Returns where the setting at fault was changed; None where nothing that could be at fault was.

    Args:
        path: Where the problem is: a setting, or a section whose settings do not fit together; empty for all.
        message: What is wrong, which names the settings of a section that do not fit.
        origins: See `problems_of`.
    """
    for name, origin in origins.items():
        if starts_with(path, [name]):
            return origin
    inside = [name for name in origins if not path or starts_with(name, [path])]
    inside.sort(key=lambda name: origins[name] != SETTING)
    named = [name for name in inside if name.rsplit(".", 1)[-1] in message]
    return origins[(named or inside)[0]] if named or (path and inside) else None


def _describe(problem: Any, source: str, origins: Mapping[str, str], lacking: Sequence[str]) -> str:
    path = _path(problem)
    message = problem["msg"].removeprefix("Value error, ")
    origin = _origin(path, message, origins)
    source = origin or source
    if problem["type"] == "missing":
        return f"{source}: setting {path!r} is missing" + ("" if origin else "; params.yaml must be complete")
    if problem["type"] == "extra_forbidden":
        near = similar_name(path, lacking)
        return f"{source}: unknown setting {path!r}{f'. {near}' if near else ''}"
    if problem["type"] == "union_tag_invalid":
        known = [word.strip("'") for word in problem["ctx"]["expected_tags"].split(", ")]
        tag = problem["ctx"]["tag"]
        return f"{source}: {path}.type must be {' or '.join(known)}, got {tag!r}. {nearest_name(tag, known)}"
    if isinstance(problem["input"], dict):
        return f"{source}: {path + ': ' if path else ''}{message}"
    hint = ""
    if problem["type"] == "literal_error" and isinstance(problem["input"], str):
        known = [word.strip("'") for word in problem["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        hint = f" {nearest_name(problem['input'], known)}"
    return f"{source}: {path}={problem['input']}: {message[0].lower()}{message[1:]}.{hint}"
