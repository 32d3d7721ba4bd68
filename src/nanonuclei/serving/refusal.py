"""A request that cannot be answered, as one sentence for the one who asked."""

from __future__ import annotations

import math

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE


class Refused(MlflowException):  # type: ignore[misc]
    """The server answers 400 with this sentence, on one line: words of the request in it may hold anything.

    MLflow puts the data of the request, as Python would print it, before the message of an error that passes through
    it; the sentence stays what it was.

    Attributes:
        retry_after: Seconds after which the same request may be answered; None where it never will be.
    """

    def __init__(
        self, sentence: str, *, error_code: int = INVALID_PARAMETER_VALUE, retry_after: int | None = None
    ) -> None:
        self._sentence = " ".join("".join(each if each.isprintable() else " " for each in sentence).split())
        self.retry_after = retry_after
        super().__init__(sentence, error_code=error_code)

    @property
    def message(self) -> str:
        """The sentence."""
        return self._sentence

    @message.setter
    def message(self, text: str) -> None:
        """Takes no other text."""


def broken() -> Refused:
    """Returns what is told where the fault is ours: 500, and no more."""
    return Refused("the model failed on this request; the server's log says why", error_code=INTERNAL_ERROR)


def busy(why: str, *, seconds: float) -> Refused:
    """Returns what is told where the server has too much to do: 503, with the time after which to ask again.

    Args:
        why: What stood in the way, without a full stop.
        seconds: Until there may be room.
    """
    wait = max(1, math.ceil(seconds))
    return Refused(f"{why}. Ask again in {wait} s", error_code=TEMPORARILY_UNAVAILABLE, retry_after=wait)
