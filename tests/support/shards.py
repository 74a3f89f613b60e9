"""What tests of sharded releases share: a suite whose cases can be told apart, and a provider that counts what it was paid."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from promptship.settings import ProviderSettings
from tests.support.standin import Asked, Said, StandIn, stand_in

CASES = 7
SUITE = "cases:\n" + "\n".join(
    f"  - {{id: c{number}, topic: greetings-{number}, messages: [{{role: user, content: Greet number {number}}}],"
    " assert: [{type: icontains, value: hello}]}"
    for number in range(CASES)
)


def hello(asked: Asked) -> Said:
    """One answer for 0.001 USD."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "cost": 0.001}
    return Said(
        content={
            "id": "x",
            "object": "chat.completion",
            "model": "sim-1",
            "choices": [choice],
            "usage": usage,
        }
    )


@contextmanager
def till(answer: Callable[[Asked], Said] = hello) -> Iterator[tuple[StandIn, dict[str, ProviderSettings]]]:
    """A provider on loopback, and the settings that name it."""
    with stand_in(answer) as provider:
        yield provider, {"sim": ProviderSettings(base_url=f"{provider.url}/v1", concurrency_max=3)}


def pass_rates(verdict: dict[str, Any]) -> list[tuple[float, float]]:
    """Of candidate and stable, by suite."""
    return [(suite["candidate"]["pass_rate"], suite["stable"]["pass_rate"]) for suite in verdict["suites"]]
