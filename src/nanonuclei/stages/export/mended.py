"""Makes bioimageio.spec 0.5.12 run with pydantic 2.14.

bioimageio.core 0.11.0 asks for exactly bioimageio.spec 0.5.12.0. Three serializers there call
``handler(value, info)``, as an example in pydantic's documentation did; the second argument had no effect. Pydantic
2.14 refuses it (github.com/pydantic/pydantic/pull/13506), and bioimageio.spec 0.5.14 leaves it out. This module does
the same to the installed version, and nothing to one that has it right. Remove it once bioimageio.core takes a newer
one.
"""

from __future__ import annotations

import functools
import inspect
import re
import textwrap
from types import FunctionType
from typing import Any

WRONG = re.compile(r"handler\(\s*(\w+),\s*info,[^\n]*\n\s*\)")
"""The call with the argument that has no effect."""


@functools.cache
def mend() -> None:
    """Mends the functions in this process; those that are right stay as they are."""
    from bioimageio.spec._internal import io_packaging, validated_string_with_inner_node
    from bioimageio.spec.model import v0_4

    strings: Any = validated_string_with_inner_node.ValidatedStringWithInnerNode
    for function in (io_packaging.package_file_descr_serializer, v0_4.package_weights, strings._serialize):
        _mend(function)


def _mend(function: FunctionType) -> None:
    """Gives a function its own code without the argument: pydantic holds on to the function itself."""
    text, count = WRONG.subn(r"handler(\1)", textwrap.dedent(inspect.getsource(function)))
    if not count:
        return
    plain = text[text.index("def ") :]
    made: dict[str, Any] = {}
    exec(compile("from __future__ import annotations\n" + plain, "mended", "exec"), function.__globals__.copy(), made)
    function.__code__ = made[function.__name__].__code__
