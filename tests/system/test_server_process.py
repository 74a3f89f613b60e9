"""The control plane in a process of its own: streams on real sockets, a real push, and a clean end on SIGTERM."""

import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from promptship.adapters.hooks import install_post_receive, sign
from tests.support.plane import SECRET, TOKEN
from tests.support.repositories import ENVIRONMENT, GitMaker

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]

PLANE = """
    import asyncio, socket, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from promptship.adapters.database import connect, migrate
    from promptship.adapters.git import GitRepository
    from promptship.adapters.ledger.sql_ledger import SqlLedger
    from promptship.adapters.ledger.sql_routes import SqlRoutes
    from promptship.server import serve
    from tests.support.plane import SECRET, TOKEN, World

    class Clock:
        def now(self):
            return datetime.now(UTC)

    clock, engine = Clock(), connect(f"sqlite:///{sys.argv[1]}/ledger.db")
    migrate(engine)
    world = World(clock=clock, ledger=SqlLedger(engine), routes=SqlRoutes(engine, clock))
    world.repository = GitRepository(Path(sys.argv[1]) / "repo.git")
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    ready = lambda url: print(url, flush=True)
    asyncio.run(serve(world.app, token=TOKEN, secret=SECRET, sock=sock, ready=ready, slack_secret="s"))
    print("ended", flush=True)
"""

HOOK = """
    import sys
    from datetime import UTC, datetime
    from promptship.adapters.hooks import announce, push_payload
    for push in push_payload(sys.stdin):
        print(*announce({url!r}, {secret!r}, push, now=datetime.now(UTC)), sep="\\n")
"""

PROMPT = b"name: support-reply\nmodel: gpt-x\nmessages:\n  - role: user\n    content: Hello\n"


class Plane(NamedTuple):
    url: str
    process: subprocess.Popen[str]
    directory: Path
    repository: GitMaker


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    repository = GitMaker(tmp_path / "repo.git", bare=True)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PLANE), str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://"), "the control plane did not start; its error is above"
        yield Plane(url, process, tmp_path, repository)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def adopt(plane: Plane) -> None:
    """What another process does to the same ledger."""
    from promptship.adapters.database import connect
    from promptship.adapters.ledger.sql_routes import SqlRoutes
    from promptship.adapters.memory.clock import MemoryClock
    from tests.support.plane import STABLE

    engine = connect(f"sqlite:///{plane.directory}/ledger.db")
    SqlRoutes(engine, MemoryClock()).adopt("support-reply", STABLE, actor="person:mira", at=datetime.now(UTC))
    engine.dispose()


def test_a_change_by_another_process_is_pushed_and_sigterm_ends_open_streams(plane: Plane) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    events: list[str] = []
    with (
        httpx.Client(base_url=plane.url, headers=headers, timeout=30, trust_env=False) as http,
        http.stream("GET", "/api/routes/events") as stream,
    ):
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert next(lines) == "event: table"
        assert json.loads(next(lines).removeprefix("data: "))["routes"] == {}
        adopt(plane)
        for line in lines:
            events.append(line)
            if line.startswith("data: ") and '"support-reply"' in line:
                break
        plane.process.send_signal(signal.SIGTERM)
        events.extend(lines)
    assert "event: table" in events
    assert plane.process.wait(timeout=30) in {0, -signal.SIGTERM}


def test_a_push_to_a_real_repository_opens_a_release_and_says_so(plane: Plane, tmp_path: Path) -> None:
    hook = tmp_path / "hook.py"
    hook.write_text(textwrap.dedent(HOOK.format(url=plane.url, secret=SECRET)))
    command = shlex.join([sys.executable, str(hook)])
    install_post_receive(plane.repository.path, command=command, config=tmp_path / "promptship.toml")
    source = GitMaker(tmp_path / "source", bare=False)
    source.commit({"prompts/support-reply.yaml": PROMPT})
    push = ["git", "-C", str(source.path), "push", str(plane.repository.path)]
    done = subprocess.run([*push, "main"], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "remote: promptship: support-reply: opened release r-" in done.stderr
    assert "remote: promptship: support-reply: stopped by lint: prompts/support-reply.yaml:" in done.stderr
    other = subprocess.run(
        [*push, "main:feature"], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert "refs/heads/feature is not released" in other.stderr
    headers = {"Authorization": f"Bearer {TOKEN}"}
    releases = httpx.get(f"{plane.url}/api/releases", headers=headers, trust_env=False).json()["releases"]
    assert [(release["prompt"], release["phase"]) for release in releases] == [("support-reply", "rejected")]


def test_raw_nonsense_on_the_socket_leaves_it_standing(plane: Plane) -> None:
    import socket

    host, port = plane.url.removeprefix("http://").split(":")
    for noise in (
        b"\0" * 1000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /hooks/git HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"GET /" + b"x" * 200_000,
    ):
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            try:
                raw.sendall(noise)
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(4096):
                    pass
            except OSError:
                pass
    body = b"{}"
    answer = httpx.post(
        f"{plane.url}/hooks/git", content=body, headers=sign(SECRET, body, datetime.now(UTC)), trust_env=False
    )
    assert answer.status_code == 400
    assert httpx.get(f"{plane.url}/healthz", trust_env=False).status_code == 200


def test_a_hundred_streams_hear_of_a_change(plane: Plane) -> None:
    import asyncio

    async def listen(http: httpx.AsyncClient, ready: asyncio.Semaphore) -> float:
        async with http.stream("GET", "/api/routes/events") as stream:
            first = True
            async for line in stream.aiter_lines():
                if first:
                    first = False
                    ready.release()
                if line.startswith("data: ") and '"support-reply"' in line:
                    return time.monotonic()
        return float("inf")

    async def all_of_them() -> list[float]:
        ready = asyncio.Semaphore(0)
        limits = httpx.Limits(max_connections=None)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            base_url=plane.url, headers=headers, timeout=30, limits=limits, trust_env=False
        ) as http:
            streams = [asyncio.create_task(listen(http, ready)) for _ in range(100)]
            for _ in streams:
                await ready.acquire()
            await asyncio.to_thread(adopt, plane)
            return await asyncio.gather(*streams)

    assert len(asyncio.run(all_of_them())) == 100
