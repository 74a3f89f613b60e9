"""Applications that use the client, as processes of their own: `python client_programs.py <what> <gateway> <cache>`."""

from __future__ import annotations

import os
import sys
import threading

HEAVY = ("prefect", "duckdb", "pandas", "sqlalchemy", "numpy", "fastapi", "great_expectations")


def light(gateway: str, cache: str) -> None:
    """What is loaded after the import, and after everything was used."""
    from promptship.client import Client

    sys.stdout.write(f"{sorted({'pydantic', 'jinja2', 'httpx', 'asyncio', *HEAVY} & sys.modules.keys())}\n")
    with Client(gateway, key="", cache=cache) as client:
        client.get("support").render({"question": "why?"}, unit="u").observe(latency_ms=1.0)
    sys.stdout.write(f"{sorted(set(HEAVY) & sys.modules.keys())}\n")


def forked(gateway: str, cache: str) -> None:
    """A parent that renders and reports, and a child that does so, too."""
    from promptship.client import Client

    client = Client(gateway, key="", cache=cache)
    support = client.get("support")
    support.render({"question": "parent"}, unit="u").observe(latency_ms=1.0)
    child = os.fork()
    call = client.get("support").render({"question": "why?"}, unit="u")
    call.observe(latency_ms=2.0)
    if child == 0:
        sys.stdout.write(f"child {call.version} {client.state.revision}\n")
    else:
        os.waitpid(child, 0)
        sys.stdout.write(f"parent {call.version} {client.state.revision}\n")
    # Neither closes the client: the end of the process does.


def threads(gateway: str, cache: str) -> None:
    """Many threads that ask for the first time at once; then none of ours is left."""
    from promptship.client import Client

    client = Client(gateway, key="", cache=cache)
    versions: list[str] = []

    def ask() -> None:
        call = client.get("support").render({"question": "why?"}, unit="u")
        call.observe(latency_ms=1.0)
        versions.append(call.version)

    asking = [threading.Thread(target=ask) for _ in range(16)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    client.close()
    left = [one.name for one in threading.enumerate() if one.name.startswith("promptship")]
    sys.stdout.write(f"{len(versions)} {len(set(versions))} {client.state.sent} {left}\n")


if __name__ == "__main__":
    {"light": light, "forked": forked, "threads": threads}[sys.argv[1]](sys.argv[2], sys.argv[3])
