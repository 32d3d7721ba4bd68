"""What each image of a request showed and what was found in it, noted while the request is answered."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

from nanonuclei.data.fingerprint.likeness import Features, measure
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.types import Image


@dataclass(frozen=True)
class ImageNote:
    """One image that was answered.

    Attributes:
        height: Of the image, px.
        width: Of the image, px.
        features: Its grey values and the median diameter of its objects, see `data.fingerprint.likeness.measure`.
        num_objects: How many objects were found.
        mean_score: Mean of their scores, 0..1; nan where there are none.
        unlike: In what it looks unlike each training image, see `Looks.unlike`; empty where it looks like one.
    """

    height: int
    width: int
    features: Features
    num_objects: int
    mean_score: float
    unlike: str = ""


@dataclass
class Notes:
    """The notes of one request.

    Attributes:
        images: One note per image that was answered, in order.
    """

    images: list[ImageNote] = field(default_factory=list)
    _waiting: list[tuple[Image, str]] = field(default_factory=list)

    def add_image(self, image: Image, unlike: str = "") -> None:
        """Keeps an image until its objects are known; `score_maps` may read ahead of them."""
        self._waiting.append((image, unlike))

    def add_objects(self, found: Instances) -> None:
        """Notes the objects of the first image that has none yet."""
        image, unlike = self._waiting.pop(0)
        features = measure(image, boxes=found.boxes)
        mean_score = float(found.scores.mean()) if len(found) else float("nan")
        self.images.append(ImageNote(image.shape[0], image.shape[1], features, len(found), mean_score, unlike))


_notes: ContextVar[Notes | None] = ContextVar("nanonuclei_notes", default=None)


@contextlib.contextmanager
def taking_notes() -> Iterator[Notes]:
    """Has `note_image` and `note_objects` write into notes, in this context and in the threads it starts.

    Yields:
        New notes; or those that are taken already, further out.
    """
    if (outer := _notes.get()) is not None:
        yield outer
        return
    notes = Notes()
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def note_image(image: Image, *, unlike: str = "") -> None:
    """Notes an image that was decoded; does nothing where no notes are taken.

    Args:
        image: As it was decoded.
        unlike: See `ImageNote`.
    """
    if (notes := _notes.get()) is not None:
        notes.add_image(image, unlike)


def note_objects(found: Instances) -> None:
    """Notes the objects of the next image; does nothing where no notes are taken."""
    if (notes := _notes.get()) is not None:
        notes.add_objects(found)
