"""The paths for applications that ask models by themselves: the client library and OpenFeature's clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from promptship.gateway import ofrep, relay, reports
from promptship.gateway.news import News
from promptship.gateway.serving import Around
from promptship.gateway.wire import Receive, Reply, Scope


def paths(
    around: Around, news: News
) -> Mapping[str, tuple[str, Callable[[Scope, Receive, Reply], Awaitable[None]]]]:
    """Path -> method and handler. What stands below `ofrep.FLAGS` is its handler's, too."""
    routes = relay.Relay(around.live, news)
    flags = ofrep.Ofrep(
        live=around.live, news=news, names=around.names, secret=around.secret, clock=around.clock, spool=around.spool
    )  # fmt: skip
    said = reports.Reports(spool=around.spool, secret=around.secret, clock=around.clock, costs=around.costs)
    return {
        relay.PATH: ("GET", routes.table),
        relay.EVENTS: ("GET", routes.events),
        reports.PATH: ("POST", said),
        ofrep.FLAGS: ("POST", flags.evaluate),
        ofrep.EVENTS: ("GET", flags.events),
    }
