"""Axes that a file leaves open, as plain TIFF programs write pages: what they may be, and what the user is told."""

from __future__ import annotations

from nanonuclei.data.files.scene import Scene
from nanonuclei.invocation import option

MAX_UNNAMED = 8
"""Longest axis without a name that is taken for channels where nothing in the file says what it is."""

PAGES = {"C": "channels", "Z": "focal planes", "T": "times"}
"""What an axis may count, by its letter."""


def possible_axes(scene: Scene) -> dict[str, str]:
    """Returns what the one axis that a file leaves open may count, by its letter, and for each the axes to choose.

    The first is the one that is meant where nothing is chosen: channels if it has at most `MAX_UNNAMED`. Empty where
    the file tells all axes, or leaves several open.
    """
    unknown = [letter for letter in scene.axes if letter not in "TZCYXS" and scene.extents[letter] > 1]
    if len(unknown) != 1:
        return {}
    channels = "" if scene.colour or scene.extents.get("S", 1) > 1 else "C"
    letters = f"{channels}ZT" if scene.extents[unknown[0]] <= MAX_UNNAMED else f"ZT{channels}"
    return {letter: scene.axes.replace(unknown[0], letter) for letter in letters if letter not in scene.axes}


def told_guess(scene: Scene) -> str:
    """Tells that an axis which a file leaves open is taken for channels; empty where none is."""
    possible = possible_axes(scene)
    if next(iter(possible), "") != "C":
        return ""
    num = max(extent for letter, extent in scene.extents.items() if letter not in "TZCYXS")
    others = [f"`{option('axes', axes)}` for {PAGES[letter]}" for letter, axes in possible.items() if letter != "C"]
    return f"{num} pages, of which the file does not say what they are, taken for channels ({', '.join(others)})"
