"""moto's S3 server on the loopback, which can be told to fail; everything of it is forgotten at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>told to</Message></Error>'
CODES = {HTTPStatus.SERVICE_UNAVAILABLE: "SlowDown", HTTPStatus.FORBIDDEN: "AccessDenied"}


@dataclass
class S3Server:
    url: str
    app: Callable[..., Any]
    fails: HTTPStatus | None = None
    """What every request is answered with."""
    only: str = ""
    """If set, only requests of this method fail."""

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if self.fails is None or (self.only and environ["REQUEST_METHOD"] != self.only):
            return self.app(environ, start)  # type: ignore[no-any-return]
        body = ERROR.format(CODES[self.fails]).encode()
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start(
            f"{self.fails} {self.fails.phrase}",
            [("content-type", "application/xml"), ("content-length", str(len(body)))],
        )
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


@contextmanager
def s3_server() -> Iterator[S3Server]:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: object) -> None:
            """Nothing."""

    served = S3Server("", DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, served, threaded=True, request_handler=Quiet)
    served.url = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
