"""What a server refuses: a status, a sentence, and the kind that text-embeddings-inference gives such an error."""

from typing import Literal

Kind = Literal["validation", "tokenizer", "overloaded", "unauthorized", "backend"]


class Refused(Exception):
    """A request that is not done: the HTTP `status`, a `sentence` for whoever sent it, and the `kind` of error."""

    def __init__(self, status: int, sentence: str, kind: Kind = "validation") -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.kind = status, sentence, kind

    def as_json(self) -> dict[str, str]:
        """Return the body of the answer, as text-embeddings-inference has it."""
        return {"error": self.sentence, "error_type": self.kind}
