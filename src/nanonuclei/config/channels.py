"""How a channel of an image file is named."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Channel = Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)]
"""A channel of an image file: its index from 0, or its name as the file has it."""

NO_CHANNEL = "none"
"""Stands for a channel that the images do not have."""

GREY = "grey"
"""Name of the only channel of a grey image, and of the brightness of a colour image."""
