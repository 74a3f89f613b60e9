"""The dashboard: signed in or not at all, and nothing in it is alive."""

from datetime import timedelta

import pytest

from promptship.release import events as e
from promptship.server.access import COOKIE, SESSION_S_MAX, new_session
from tests.support.plane import SECRET, TOKEN, World, client, opened, waiting


def session(world: World, *, token: str = TOKEN, secret: bytes = SECRET, age_s: float = 0) -> dict[str, str]:
    at = world.clock.now() - timedelta(seconds=age_s)
    return {"Cookie": f"{COOKIE}={new_session(token, secret, at)}"}


async def test_the_list_and_one_release() -> None:
    world = World()
    release_id = waiting(world)
    async with client(world.asgi(), token=None) as http:
        listed = await http.get("/", headers=session(world))
        shown = await http.get(f"/releases/{release_id}", headers=session(world))
    assert f'<a href="/releases/{release_id}">support-reply</a>' in listed.text
    assert "awaiting approval" in listed.text
    for part in (
        "every stage is passed",
        "<del>kind</del>",
        "<ins>concise</ins>",
        "11.9% of 612",
        "no case is worse",
        "asked in memory",
    ):
        assert part in shown.text, part


async def test_an_empty_list_says_what_to_do() -> None:
    world = World()
    async with client(world.asgi(), token=None) as http:
        assert "promptship release" in (await http.get("/", headers=session(world))).text


async def test_what_others_wrote_is_text_and_no_page_runs_anything() -> None:
    world = World()
    release_id = opened(world, author="<script>alert(1)</script>@x")
    fact = e.Rejected(by="lint", reason='"><img src=x onerror=alert(1)>')
    world.app.ledger.append(release_id, [fact], expected_seq=0, actor="flow", at=world.clock.now())
    async with client(world.asgi(), token=None) as http:
        for path in ("/", f"/releases/{release_id}"):
            answer = await http.get(path, headers=session(world))
            assert "<script" not in answer.text
            assert "<img" not in answer.text
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; style-src 'sha256-")
            assert "unsafe" not in policy
            assert answer.headers["Cache-Control"] == "no-store"
            assert "http://" not in answer.text
            assert "https://" not in answer.text


@pytest.mark.parametrize("path", ["/", "/releases/r-1"])
async def test_without_a_session_there_is_only_the_form(path: str) -> None:
    world = World()
    waiting(world)
    bad: list[dict[str, str]] = [
        {}, {"Cookie": f"{COOKIE}="}, {"Cookie": f"{COOKIE}={TOKEN}"}, {"Cookie": f"{COOKIE}=1.2"}, {"Cookie": f"{COOKIE}=1.é"},
        session(world, token="another"), session(world, secret=b"another"), session(world, age_s=SESSION_S_MAX),
        session(world, age_s=-60), {"Authorization": "Bearer wrong"},
    ]  # fmt: skip
    async with client(world.asgi(), token=None) as http:
        for headers in bad:
            raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
            answer = await http.get(path, headers=raw)
            assert answer.status_code == 401
            assert "support-reply" not in answer.text
            assert f'name="next" value="{path}"' in answer.text


async def test_a_session_of_another_day_cannot_be_made_younger() -> None:
    world = World()
    old = new_session(TOKEN, SECRET, world.clock.now() - timedelta(days=8)).partition(".")[2]
    cookie = f"{COOKIE}={int(world.clock.now().timestamp())}.{old}"
    async with client(world.asgi(), token=None) as http:
        assert (await http.get("/", headers={"Cookie": cookie})).status_code == 401


async def test_signing_in_sets_a_cookie_that_scripts_and_other_sites_cannot_use() -> None:
    world = World()
    async with client(world.asgi(), token=None) as http:
        for answer in (
            await http.get("/login", params={"token": TOKEN}),
            await http.post("/login", data={"token": f" {TOKEN}\n", "next": "/releases/r-1"}),
        ):
            assert answer.status_code == 303
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=strict" in cookie
            assert TOKEN not in cookie
            assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Location"] == "/releases/r-1"
        http.cookies.clear()
        value = cookie.partition(";")[0]
        assert (await http.get("/", headers={"Cookie": value})).status_code == 200


async def test_over_https_the_cookie_stays_there() -> None:
    async with client(World().asgi(), token=None) as http:
        answer = await http.get("https://plane/login", params={"token": TOKEN})
    assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil",
        "/releases/../x",
        "javascript:alert(1)",
        "/api/routes",
        "/login",
        "",
    ],
)
async def test_signing_in_leads_nowhere_else(to: str) -> None:
    async with client(World().asgi(), token=None) as http:
        answer = await http.post("/login", data={"token": TOKEN, "next": to})
    assert answer.headers["Location"] == "/"


async def test_a_wrong_token_sets_no_cookie() -> None:
    async with client(World().asgi(), token=None) as http:
        answers = [
            await http.get("/login", params={"token": "wrong"}),
            await http.get("/login", params={"token": ""}),
            await http.post("/login", data={"token": "wrong"}),
            await http.post("/login", content=b"\xff&token=%ff"),
            await http.post("/login", content=b"a=1&" * 50),
            await http.post("/login", content=b""),
        ]
        assert (await http.post("/login", content=b"x" * 10_001)).status_code == 413
    for answer in answers:
        assert answer.status_code == 401
        assert "Set-Cookie" not in answer.headers


async def test_signing_out_forgets_the_session() -> None:
    async with client(World().asgi(), token=None) as http:
        answer = await http.post("/logout")
        assert (await http.get("/logout")).status_code == 405
    assert answer.status_code == 303
    assert f'{COOKIE}=""' in answer.headers["Set-Cookie"]


async def test_an_unknown_release_is_a_page_that_says_so() -> None:
    world = World()
    async with client(world.asgi(), token=None) as http:
        for release in ("r-unknown", "%00", "a b"):
            answer = await http.get(f"/releases/{release}", headers=session(world))
            assert answer.status_code == 404
            assert "no such release" in answer.text
