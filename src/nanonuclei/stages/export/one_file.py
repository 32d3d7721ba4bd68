"""Writes several modules of this package as one file of Python that needs none of it."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from nanonuclei import __version__
from nanonuclei.errors import ExportError
from nanonuclei.tasks.exchange import Operator

OWN = "nanonuclei"
FUTURE = "from __future__ import annotations"


def one_file(operator: Operator) -> str:
    """Returns the text of one file with a read-out and all that it imports of this package.

    Docstrings of modules and imports of this package are left out; all else is as it stands there.

    Raises:
        ExportError: A module imports another one of this package that the file would lack, or two modules give a name
            to different things.
    """
    modules = [*operator.inlined, operator.module]
    imports: list[str] = []
    parts: list[str] = []
    owners: dict[str, tuple[str, str]] = {}
    for module in modules:
        text = _source(module)
        tree = ast.parse(text)
        lines = text.splitlines()
        gone: set[int] = set()
        for place, node in enumerate(tree.body):
            if place == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                gone |= _lines_of(node)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                gone |= _lines_of(node)
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == OWN:
                    _check_inlined(node.module or "", module, (*modules, *operator.only_types))
                else:
                    imports.append(ast.unparse(node))
            for name in _defined(node):
                owner, meaning = owners.setdefault(name, (module, ast.unparse(node)))
                if owner != module and meaning != ast.unparse(node):
                    raise ExportError(
                        f"modules of one file must not give one name to two things, but {owner} and {module} both "
                        f"define {name}. Rename one"
                    )
        body = "\n".join(line for number, line in enumerate(lines, start=1) if number not in gone).strip("\n")
        parts.append(f"# {module}\n\n{body}")
    head = (
        f'"""The read-out {operator.name} of nanonuclei {__version__}, in one file. '
        f'It imports {", ".join(operator.packages)}."""'
    )
    others = sorted(set(imports) - {FUTURE})
    return "\n\n".join([head, FUTURE, "\n".join(others), *parts]) + "\n"


def _source(module: str) -> str:
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise ExportError(f"the read-out needs the module {module}, which is not installed. Install nanonuclei again")
    return Path(found.origin).read_text(encoding="utf-8")


def _lines_of(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def _check_inlined(imported: str, by: str, known: Iterable[str]) -> None:
    if imported not in known:
        raise ExportError(
            f"one file must hold all that it imports of {OWN}, but {by} imports {imported}. Name it among the modules "
            "of the operator"
        )


def _defined(node: ast.stmt) -> list[str]:
    """Returns the names that a statement at the top of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []
