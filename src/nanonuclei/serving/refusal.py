"""A request that cannot be answered, as one sentence for the one who asked."""

from __future__ import annotations

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE


class Refused(MlflowException):  # type: ignore[misc]
    """The server answers 400 with this sentence.

    MLflow puts the data of the request, as Python would print it, before the message of an error that passes through
    it; the sentence stays what it was.
    """

    def __init__(self, sentence: str, *, error_code: int = INVALID_PARAMETER_VALUE) -> None:
        self._sentence = sentence
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
