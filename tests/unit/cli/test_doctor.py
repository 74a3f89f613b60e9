"""`promptship doctor`: a broken installation of each kind is named, with what to do; a whole one is not."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from promptship.adapters.database import connect, migrate
from promptship.adapters.doctor import ledger, local, outside, services
from promptship.adapters.doctor.found import Found, State, down, examined, exit_status, fail, ok, warn
from promptship.adapters.doctor.skew import ahead_s, clock
from promptship.adapters.hooks import install_post_receive
from promptship.adapters.ledger.sql_ledger import SqlLedger
from promptship.adapters.scorer_state import State as Scoring
from promptship.adapters.scorer_state import write_state
from promptship.cli import app
from promptship.cli.doctor import table
from promptship.errors import Unavailable
from promptship.settings import ModelSettings, ProviderSettings, Settings
from tests.support.facts import requested
from tests.support.standin import Asked, Said, stand_in

pytestmark = pytest.mark.slow
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def states(found: Iterator[Found]) -> dict[str, str]:
    return {one.part: one.state.value for one in found}


def settings(root: Path, **sections: Any) -> Settings:
    return Settings.model_validate({"root": root, **sections})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / ".promptship").mkdir(mode=0o700)
    return tmp_path


# -- what a table and its exit status say ------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([ok("a", ""), warn("b", "", "c"), fail("d", "", "e"), down("f", "", "g")])))
def test_the_exit_status_says_exactly_whether_something_failed_or_only_is_down(found: list[Found]) -> None:
    failed = [one for one in found if one.state is State.FAIL]
    assert (exit_status(found) == 0) == (not failed)
    assert (exit_status(found) == 3) == (bool(failed) and all(one.is_down for one in failed))


def test_advice_stands_below_what_needs_it_and_secrets_nowhere() -> None:
    def check() -> Iterator[Found]:
        yield fail("x", "wrong key sk-1234567890abcdefghij", "put another one there")

    lines = table([ok("a", "fine"), *examined("x", check)])
    assert lines[-1] == "    -> put another one there"
    assert "sk-1234567890" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("error", "is_down"), [(Unavailable("no"), True), (ZeroDivisionError("secret"), False)]
)
def test_a_check_that_breaks_is_a_failure_of_its_part(error: Exception, is_down: bool) -> None:
    def check() -> Iterator[Found]:
        yield ok("x", "so far")
        raise error

    (found,) = examined("x", check)
    assert (found.state, found.is_down) == (State.FAIL, is_down)
    assert "secret" not in found.said


@given(st.floats(-1000, 1000))
def test_clocks(ahead: float) -> None:
    (found,) = clock("its", ahead)
    assert (found.state is State.FAIL) == (abs(ahead) > 30)
    assert (found.state is State.OK) == (abs(ahead) <= 2)


def test_a_date_header_says_how_far_a_clock_is_ahead() -> None:
    assert ahead_s(formatdate(1_000_060, usegmt=True), 1_000_000) == pytest.approx(60, abs=1)
    assert ahead_s("", 0) is None


# -- this machine ------------------------------------------------------------------------------------------------------------


def test_data_directory(place: Path) -> None:
    here, room = settings(place), 2**40
    assert states(local.data_directory(here, free_bytes=room)) == {"data directory": "ok", "disk": "ok"}
    assert states(local.data_directory(here, free_bytes=2**30))["disk"] == "warn"
    assert states(local.data_directory(here, free_bytes=2**20))["disk"] == "fail"
    (here.data / "token").write_text("x")
    (here.data / "token").chmod(0o644)
    here.data.chmod(0o755)
    found = states(local.data_directory(here, free_bytes=room))
    assert (found["data directory"], found["secrets"]) == ("warn", "fail")
    assert states(local.data_directory(settings(place / "nowhere")))["data directory"] == "fail"


def git(place: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(place), *words], check=True, capture_output=True)


def test_repository(place: Path) -> None:
    here = settings(place)
    found = examined("repository", lambda: local.repository(here))
    assert [one.state for one in found] == [State.FAIL], "no repository"
    git(place, "init", "--initial-branch=main")
    assert states(local.repository(here)) == {"repository": "fail"}
    git(place, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--allow-empty", "-m", "x")
    assert states(local.repository(here)) == {"repository": "warn", "push hook": "warn"}
    (place / "prompts").mkdir()
    (place / "prompts/a.yaml").write_text("name: a")
    git(place, "add", "prompts")
    git(place, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-m", "y")
    (place / "promptship.toml").touch()
    install_post_receive(place, command="promptship", config=place / "promptship.toml")
    assert states(local.repository(here)) == {"repository": "ok", "push hook": "ok"}


def test_spool_that_nobody_takes_in(place: Path) -> None:
    here = settings(place)
    lines = here.spool / "observations/gateway-1.jsonl"
    assert states(local.spool(here, {})) == {"spool": "ok"}
    lines.parent.mkdir(parents=True)
    lines.write_text("12345\n")
    now = lines.stat().st_mtime
    name = "observations/gateway-1.jsonl"
    assert states(local.spool(here, {name: 6}, now_s=now + 9e9)) == {"spool": "ok"}
    for late_s, state in ((5, "ok"), (120, "warn"), (3600, "fail")):
        assert states(local.spool(here, {name: 2}, now_s=now + late_s)) == {"spool": state}


def test_scorer_and_heartbeats(place: Path) -> None:
    here = settings(place)
    assert states(local.scorer(here)) == {"scorer": "warn"}
    write_state(here.data, Scoring(at=1000.0))
    assert states(local.scorer(here, now_s=1001.0)) == {"scorer": "ok"}
    assert states(local.scorer(here, now_s=5000.0)) == {"scorer": "warn"}
    assert not list(local.heartbeat(here.data, "watcher.alive", silent_s=15)), "it never ran here"
    beat = here.data / "watcher.alive"
    beat.touch()
    now = beat.stat().st_mtime
    assert not list(local.heartbeat(here.data, "watcher.alive", silent_s=15, now_s=now + 5))
    assert states(local.heartbeat(here.data, "watcher.alive", silent_s=15, now_s=now + 60)) == {
        "watcher here": "warn"
    }


# -- the ledger --------------------------------------------------------------------------------------------------------------


def test_ledger(place: Path) -> None:
    here = settings(place)
    found, known = ledger.examine(here)
    assert ([one.state for one in found], known) == ([State.FAIL], None)
    engine = connect(here.ledger_url)
    engine.connect().close()
    assert states(iter(ledger.examine(here)[0])) == {"ledger": "warn"}, "not migrated"
    migrate(engine)
    kept = SqlLedger(engine)
    release, _ = kept.open_release(requested(), actor="push:a", at=NOW)
    found, known = ledger.examine(here)
    assert known is not None
    assert states(iter(found)) == {
        "ledger": "ok", "chains": "ok", "watcher": "fail", "releases": "ok", "announcements": "ok",
    }  # fmt: skip
    kept.acquire("watcher", "somebody", ttl_s=60, at=NOW)
    assert states(ledger.watched(engine, now=NOW)) == {"watcher": "ok"}
    assert states(ledger.watched(engine, now=NOW + timedelta(minutes=5))) == {"watcher": "fail"}
    with engine.begin() as connection:
        connection.exec_driver_sql("drop trigger if exists events_no_update")
        for (name,) in connection.exec_driver_sql(
            "select name from sqlite_master where type = 'trigger'"
        ).all():
            connection.exec_driver_sql(f"drop trigger {name}")
        connection.exec_driver_sql("update events set actor = 'eve'")
    assert states(ledger.chains(engine)) == {"chains": "fail"}
    assert release
    engine.dispose()


def test_a_ledger_that_does_not_answer_is_down(place: Path) -> None:
    pytest.importorskip("psycopg")
    here = settings(place, ledger={"url": "postgresql://u:hidden@127.0.0.1:1/x?connect_timeout=1"})
    (found,), known = ledger.examine(here)
    assert (found.is_down, known) == (True, None)
    assert "hidden" not in found.said


# -- what answers over HTTP --------------------------------------------------------------------------------------------------


class Parts:
    """Every service, whole; tests break one thing."""

    def __init__(self) -> None:
        self.gateway: dict[str, Any] = {"status": "ok", "revision": 7, "source": "control plane", "lost": 0}
        self.deployment: dict[str, Any] = {"paused": False, "work_pool_name": "releases"}
        self.workers = [{"name": "one", "status": "ONLINE"}, {"name": "two", "status": "ONLINE"}]
        self.automations = [{"name": "zombies", "enabled": True}]
        self.slack: Any = {"ok": True, "user": "promptship", "team": "acorn"}
        self.refused: dict[str, int] = {}

    def answer(self, asked: Asked) -> Said:
        for path, status in self.refused.items():
            if asked.path.startswith(path):
                return Said(status, {})
        known: dict[str, Any] = {
            "/healthz": self.gateway,
            "/api/admin/version": "3.8.8",
            "/api/deployments/name/release/release": self.deployment,
            "/api/work_pools/releases": {"is_paused": False},
            "/api/work_pools/releases/workers/filter": self.workers,
            "/api/automations/filter": self.automations,
            "/slack/auth.test": self.slack,
            "/v1/traces": {},
            "/repos/acorn/prompts": {},
            "/projects/acorn%2Fprompts": {},
        }
        return Said(200, known[asked.path]) if asked.path in known else Said(404, {})


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Parts, str]]:
    parts = Parts()
    with stand_in(parts.answer) as server:
        yield parts, server.url


@pytest.fixture
def parts(served: tuple[Parts, str]) -> tuple[Parts, Settings]:
    parts, url = served
    parts.__init__()  # type: ignore[misc]
    port = int(url.rpartition(":")[2])
    return parts, settings(
        Path(), server={"port": port}, gateway={"port": port}, prefect={"port": port},
        slack={"channel": "#releases", "base_url": f"{url}/slack/"}, otel={"endpoint": url},
        github={"repository": "acorn/prompts", "api_url": url}, gitlab={"project": "acorn/prompts", "api_url": url},
    )  # fmt: skip


WHOLE = {"Prefect": "ok", "Prefect's clock": "ok", "workers": "ok", "automations": "ok"}
TOKENS = {
    "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "s", "GITHUB_TOKEN": "g", "GITLAB_TOKEN": "l",
    "GITHUB_WEBHOOK_SECRET": "w", "GITLAB_WEBHOOK_TOKEN": "t",
}  # fmt: skip


def test_control_plane_and_gateway(parts: tuple[Parts, Settings]) -> None:
    broken, here = parts
    assert states(services.control_plane(here)) == {"control plane": "ok", "control plane's clock": "ok"}
    assert states(services.gateway(here, 7))["gateway"] == "ok"
    assert states(services.gateway(here, 9))["gateway"] == "warn", "behind"
    broken.gateway["lost"] = 3
    assert states(services.gateway(here, 7))["gateway's spool"] == "fail"
    broken.gateway["source"] = "disk"
    assert states(services.gateway(here, 7))["gateway"] == "warn"
    broken.gateway["revision"] = None
    assert states(services.gateway(here, 7))["gateway"] == "fail"
    broken.refused["/healthz"] = 500
    assert states(services.control_plane(here)) == {"control plane": "fail"}


def test_what_does_not_answer_is_down() -> None:
    here = settings(
        Path(),
        server={"port": 1},
        gateway={"port": 1},
        prefect={"port": 1},
        otel={"endpoint": "http://127.0.0.1:1"},
    )
    for check in (
        services.control_plane(here), services.gateway(here, None), services.prefect(here, []), services.collector(here, {}),
    ):  # fmt: skip
        (found,) = check
        assert found.is_down
        assert found.advice


def test_prefect_with_workers(parts: tuple[Parts, Settings]) -> None:
    broken, here = parts
    assert states(services.prefect(here, ["zombies"])) == WHOLE
    assert states(services.prefect(here, ["zombies", "mend"]))["automations"] == "warn"
    broken.workers.pop()
    assert states(services.prefect(here, []))["workers"] == "warn"
    broken.workers[0]["status"] = "OFFLINE"
    assert states(services.prefect(here, []))["workers"] == "fail"
    broken.deployment["paused"] = True
    assert states(services.prefect(here, []))["deployments"] == "warn"
    broken.refused["/api/deployments"] = 404
    assert states(services.prefect(here, []))["deployments"] == "fail"
    broken.refused["/api/admin"] = 401
    assert "PREFECT_API_AUTH_STRING" in next(services.prefect(here, [])).advice


@pytest.mark.parametrize(("silent_s", "state"), [(5, "ok"), (600, "fail"), (None, "fail")])
def test_prefect_with_a_runner(silent_s: int | None, state: str) -> None:
    polled = None if silent_s is None else (NOW - timedelta(seconds=silent_s)).isoformat()
    assert states(services.runner({"last_polled": polled}, now=NOW)) == {"runner": state}


def test_slack(parts: tuple[Parts, Settings]) -> None:
    broken, here = parts
    assert states(outside.slack(here, TOKENS)) == {"Slack": "ok"}
    assert states(outside.slack(here, {"SLACK_BOT_TOKEN": "x"})) == {"Slack's secret": "fail", "Slack": "ok"}
    socket = {"SLACK_BOT_TOKEN": "x", here.slack.app_token_env: "xapp-x"}
    assert states(outside.slack(here, socket)) == {"Slack": "ok"}, "Socket Mode needs no signing secret"
    assert states(outside.slack(here, {})) == {"Slack": "fail"}
    broken.slack = {"ok": False, "error": "token_revoked"}
    (found,) = outside.slack(here, TOKENS)
    assert "token_revoked" in found.said
    assert not list(outside.slack(settings(Path()), {})), "not configured"
    assert states(outside.people(settings(Path()), {})) == {"approvers": "warn"}


def test_hosts_and_collector(parts: tuple[Parts, Settings]) -> None:
    broken, here = parts
    assert states(outside.hosts(here, TOKENS)) == {"GitHub": "ok", "GitLab": "ok"}
    assert set(states(outside.hosts(here, {})).values()) == {"fail"}
    broken.refused["/repos"] = broken.refused["/projects"] = broken.refused["/v1"] = 401
    assert states(outside.hosts(here, TOKENS)) == {"GitHub": "fail", "GitLab": "fail"}
    assert states(services.collector(here, {})) == {"OpenTelemetry": "fail"}
    broken.refused.clear()
    assert states(services.collector(here, {})) == {"OpenTelemetry": "ok"}


def test_providers() -> None:
    with stand_in(
        lambda _: Said(200, {"choices": [{"message": {"role": "assistant", "content": "ok"}}]})
    ) as server:
        here = settings(
            Path(), providers={"sim": ProviderSettings(base_url=f"{server.url}/v1", api_key_env="SIM_KEY")},
            models={"sim-1": ModelSettings(provider="sim")},
        )  # fmt: skip
        assert states(outside.providers(here, {}, call=True)) == {"provider sim": "fail"}
        assert states(outside.providers(here, {"SIM_KEY": "k"}, call=False)) == {"provider sim": "ok"}
        assert not server.asked
        assert states(outside.providers(here, {"SIM_KEY": "k"}, call=True)) == {"provider sim": "ok"}
        assert len(server.asked) == 1
    (found,) = outside.providers(here, {"SIM_KEY": "k"}, call=True)
    assert found.is_down
    assert states(outside.providers(settings(Path()), {}, call=False)) == {"providers": "warn"}


# -- the command -------------------------------------------------------------------------------------------------------------


def test_the_command_on_a_broken_file_and_on_nothing_that_runs(place: Path) -> None:
    config = place / "promptship.toml"
    config.write_text("[server]\nprot = 1\n")
    told = CliRunner().invoke(app, ["doctor", "--config", str(config), "--json"])
    assert told.exit_code == 1
    assert "prot" in json.loads(told.stdout)[0]["said"]
    config.write_text("[server]\nport = 1\n[gateway]\nport = 1\n[prefect]\nport = 1\n")
    told = CliRunner().invoke(app, ["doctor", "--config", str(config)], env={**os.environ, "COLUMNS": "200"})
    assert told.exit_code == 1
    assert "does not answer" in told.stdout
    assert "-> " in told.stdout


def test_the_automations_it_looks_for_are_those_that_are_installed() -> None:
    from promptship.cli.doctor import AUTOMATIONS
    from promptship.flows.fleet import MEND, ZOMBIES

    assert AUTOMATIONS == (ZOMBIES, MEND)
