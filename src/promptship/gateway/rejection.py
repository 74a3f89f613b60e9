"""What is wrong with a request, as a value: answered in the error shape of the API it came by, so every SDK understands."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson

from promptship.routing.api import Api

_ANTHROPIC_KINDS: Final = {
    401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large",
    429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rejection:
    """An answer that is an error. `param` names the field or variable; `code` is for programs, `message` for people."""

    status: int
    code: str
    message: str
    param: str | None = None
    retry_after_s: int | None = None

    @property
    def kind(self) -> str:
        """OpenAI's `type`."""
        if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return "server_error"
        named = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        return named.get(self.status, "invalid_request_error")

    def body(self, api: Api = "chat") -> bytes:
        """The JSON body."""
        if api == "messages":
            return orjson.dumps({"type": "error", "error": self._anthropic()})
        return orjson.dumps({"error": self._openai()})

    def event(self, api: Api) -> bytes:
        """The last event of a stream that has begun."""
        if api == "messages":
            return b"\n\nevent: error\ndata: " + self.body(api) + b"\n\n"
        if api == "responses":
            # The SDK raises on `error`; a reader of the plain protocol looks for `type` and `message`.
            said = {"type": "error", "code": self.code, "message": self.message, "param": self.param}
            event = orjson.dumps({**said, "sequence_number": 0, "error": self._openai()})
            return b"\n\nevent: error\ndata: " + event + b"\n\n"
        return b"\n\ndata: " + self.body(api) + b"\n\n"

    def _openai(self) -> dict[str, str | None]:
        return {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}

    def _anthropic(self) -> dict[str, str | None]:
        is_ours = self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        kind = _ANTHROPIC_KINDS.get(self.status, "api_error" if is_ours else "invalid_request_error")
        return {"type": kind, "message": self.message, "param": self.param, "code": self.code}


def bad_request(message: str, param: str | None = None, *, code: str = "invalid_value") -> Rejection:
    """400."""
    return Rejection(400, code, message, param)


def unknown_model(message: str, param: str = "model") -> Rejection:
    """404 `model_not_found`, as OpenAI says it."""
    return Rejection(404, "model_not_found", message, param)


NO_ROUTES: Final = Rejection(
    503, "no_routes_yet", "this gateway has not heard from its control plane yet; try again"
)
