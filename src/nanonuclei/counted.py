"""A number and what it counts, in words."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """Returns a number with its noun, such as ``1 image`` or ``2,300 images``.

    Args:
        number: How many.
        one: The noun.
        many: Its plural, where that is more than the noun with an s.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
