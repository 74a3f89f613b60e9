"""What is wrong with a request, as a value: the gateway answers it in OpenAI's error shape, so every SDK understands."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

import orjson


@dataclass(frozen=True, slots=True)
class Rejection:
    """An answer that is an error. `param` names the field or variable; `code` is for programs, `message` for people."""

    status: int
    code: str
    message: str
    param: str | None = None

    @property
    def kind(self) -> str:
        """OpenAI's `type`."""
        if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return "server_error"
        return "authentication_error" if self.status == HTTPStatus.UNAUTHORIZED else "invalid_request_error"

    def body(self) -> bytes:
        """The JSON body."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return orjson.dumps({"error": error})


def bad_request(message: str, param: str | None = None, *, code: str = "invalid_value") -> Rejection:
    """400."""
    return Rejection(400, code, message, param)


def unknown_model(message: str) -> Rejection:
    """404 `model_not_found`, as OpenAI says it."""
    return Rejection(404, "model_not_found", message, "model")
