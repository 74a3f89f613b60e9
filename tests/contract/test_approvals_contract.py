"""What every way of asking people does: memory, terminal, and Slack (a stand-in of its Web API)."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from slack_sdk import WebClient

from promptship.adapters.memory.approvals import MemoryApprovals
from promptship.adapters.slack import SlackApprovals, approvals_for
from promptship.adapters.slack.api import SlackApi
from promptship.adapters.slack.people import SlackPeople
from promptship.adapters.terminal import LogApprovals
from promptship.errors import ConfigError, Unavailable
from promptship.ports import Approvals, Card
from promptship.render.chart import verdict_chart
from promptship.settings import Settings, SlackSettings
from tests.support.standin import Asked, Said, StandIn, stand_in
from tests.support.verdicts import hold

CARD = Card(
    release_id="r-1", seq=5, title="Promote support-reply?", lines=("**Author:** dev",), diff="[-a-]{+b+}"
)


class Slack:
    """chat.postMessage and chat.update."""

    def __init__(self) -> None:
        self.trouble: Said | None = None
        self.posted = 0
        self.url = ""
        self.answers: dict[str, Said] = {}

    def answer(self, asked: Asked) -> Said:
        if self.trouble is not None:
            return self.trouble
        if asked.path in self.answers:
            return self.answers[asked.path]
        if asked.path == "/api/files.getUploadURLExternal":
            return Said(200, {"ok": True, "file_id": "F1", "upload_url": f"{self.url}/upload"})
        self.posted += 1
        return Said(200, {"ok": True, "channel": "C1", "ts": f"17000000{self.posted}.000100"})


@pytest.fixture
def slack() -> Iterator[tuple[Slack, StandIn]]:
    fake = Slack()
    with stand_in(fake.answer) as server:
        fake.url = server.url
        yield fake, server


def port_to(server: StandIn) -> SlackApprovals:
    return SlackApprovals(WebClient(token="xoxb-test", base_url=f"{server.url}/api/"), "#releases")


@pytest.fixture(params=["memory", "terminal", "slack"])
def approvals(request: pytest.FixtureRequest) -> Approvals:
    if request.param == "memory":
        return MemoryApprovals()
    if request.param == "terminal":
        return LogApprovals()
    _, server = request.getfixturevalue("slack")
    return port_to(server)


def test_a_delivered_card_can_be_edited(approvals: Approvals) -> None:
    channel, reference = approvals.ask(CARD)
    assert channel
    assert reference
    approvals.update(channel, reference, replace(CARD, ask=False, outcome="Promoted"))
    approvals.tell(None, "done")
    approvals.tell("#others", "done")


def test_slack_is_asked_in_the_channel_and_edited_where_it_stands(slack: tuple[Slack, StandIn]) -> None:
    _, server = slack
    port = port_to(server)
    assert port.ask(CARD) == ("C1", "C1:170000001.000100")
    port.update("C1", "C1:170000001.000100", CARD)
    port.tell(None, "one <!channel> & two")
    post, edit, notice = (asked.json for asked in server.asked)
    assert [asked.path for asked in server.asked] == [
        "/api/chat.postMessage",
        "/api/chat.update",
        "/api/chat.postMessage",
    ]
    assert server.asked[0].headers["authorization"] == "Bearer xoxb-test"
    assert (post["channel"], post["parse"], post["link_names"]) == ("#releases", "none", False)
    assert (edit["channel"], edit["ts"]) == ("C1", "170000001.000100")
    assert notice["text"] == "one &lt;!channel&gt; &amp; two"
    actions = [block for block in post["blocks"] if block["type"] == "actions"]
    assert [json.loads(button["value"]) for button in actions[0]["elements"]] == [
        {"release_id": "r-1", "seq": 5}
    ] * 2


@pytest.mark.parametrize(
    "trouble",
    [
        Said(500, {}), Said(503, b"<html>"), Said(200, b"not json"), Said(200, {"ok": False, "error": "internal_error"}),
        Said(200, {"ok": False, "error": "ratelimited"}), Said(200, {"ok": True}), Said(200, ["odd"]),
    ],
)  # fmt: skip
def test_trouble_at_slack_is_unavailable(slack: tuple[Slack, StandIn], trouble: Said) -> None:
    fake, server = slack
    fake.trouble = trouble
    with pytest.raises(Unavailable):
        port_to(server).ask(CARD)
    assert len(server.asked) == 1, "the library must not send a card again by itself"


def test_a_rate_limit_says_when_to_try_again(slack: tuple[Slack, StandIn]) -> None:
    fake, server = slack
    fake.trouble = Said(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"})
    with pytest.raises(Unavailable) as caught:
        port_to(server).ask(CARD)
    assert caught.value.retry_after_s == 30


@pytest.mark.parametrize(
    ("code", "key"),
    [
        ("invalid_auth", "slack.token_env"),
        ("channel_not_found", "slack.channel"),
        ("not_in_channel", "slack.channel"),
    ],
)
def test_a_wrong_token_or_channel_says_what_to_do(slack: tuple[Slack, StandIn], code: str, key: str) -> None:
    fake, server = slack
    fake.trouble = Said(200, {"ok": False, "error": code})
    with pytest.raises(ConfigError) as caught:
        port_to(server).ask(CARD)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert problem.advice
    assert code in problem.got


def test_a_card_that_somebody_deleted_stops_nothing(slack: tuple[Slack, StandIn]) -> None:
    fake, server = slack
    fake.trouble = Said(200, {"ok": False, "error": "message_not_found"})
    port_to(server).update("C1", "C1:1.2", CARD)


CHART = verdict_chart("support-reply", hold())


def test_the_chart_is_a_picture_in_the_thread_of_the_card(slack: tuple[Slack, StandIn]) -> None:
    _, server = slack
    channel, reference = port_to(server).ask(replace(CARD, chart=CHART))
    assert [asked.path for asked in server.asked] == [
        "/api/chat.postMessage",
        "/api/files.getUploadURLExternal",
        "/upload",
        "/api/files.completeUploadExternal",
    ]
    assert b"\x89PNG" in server.asked[2].body
    done = server.asked[3].form
    assert (done["channel_id"], done["thread_ts"]) == (channel, reference.rpartition(":")[2])


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/files.getUploadURLExternal", Said(200, {"ok": False, "error": "missing_scope"})),
        ("/api/files.getUploadURLExternal", Said(500, b"")), ("/upload", Said(500, b"")),
        ("/api/files.completeUploadExternal", Said(429, {"ok": False}, {"Retry-After": "9"})),
        ("/api/files.getUploadURLExternal", Said(200, {"ok": True})),
    ],
)  # fmt: skip
def test_a_card_whose_chart_cannot_be_shown_goes_without_it(
    slack: tuple[Slack, StandIn], path: str, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    fake, server = slack
    fake.answers[path] = said
    assert port_to(server).ask(replace(CARD, chart=CHART))[0] == "C1"
    assert sum(asked.path == "/api/chat.postMessage" for asked in server.asked) == 1
    assert "without its chart" in caplog.text


def test_members_of_a_group_are_asked_for_once_a_minute(slack: tuple[Slack, StandIn]) -> None:
    fake, server = slack
    now = 0.0
    people = SlackPeople(
        SlackApi(WebClient(token="xoxb-test", base_url=f"{server.url}/api/")), clock=lambda: now
    )
    fake.answers["/api/usergroups.users.list"] = Said(200, {"ok": True, "users": ["UMIRA"]})
    fake.answers["/api/users.info"] = Said(
        200, {"ok": True, "user": {"profile": {"email": "Mira@Example.org"}}}
    )
    for _ in range(3):
        assert people.members("SGROUP") == {"UMIRA"}
        assert people.email("UMIRA") == "mira@example.org"
    assert len(server.asked) == 2
    fake.answers["/api/usergroups.users.list"] = Said(200, {"ok": True, "users": []})
    now = 59.0
    assert people.members("SGROUP") == {"UMIRA"}
    now = 60.0
    assert people.members("SGROUP") == frozenset()


@pytest.mark.parametrize(
    "trouble",
    [
        Said(500, {}), Said(200, {"ok": False, "error": "missing_scope"}), Said(200, {"ok": False, "error": "no_such_subteam"}),
        Said(200, {"ok": True}), Said(200, {"ok": True, "users": [5]}), Said(429, {"ok": False}, {"Retry-After": "30"}),
    ],
)  # fmt: skip
def test_members_that_are_not_known_are_unavailable_and_never_guessed(
    slack: tuple[Slack, StandIn], trouble: Said
) -> None:
    fake, server = slack
    port = port_to(server)
    fake.answers["/api/usergroups.users.list"] = trouble
    for _ in range(2):
        with pytest.raises(Unavailable):
            port.members("SGROUP")


def test_no_method_is_called_before_slack_wants_it_again(slack: tuple[Slack, StandIn]) -> None:
    fake, server = slack
    now = 0.0
    client = WebClient(token="xoxb-test", base_url=f"{server.url}/api/")
    api = SlackApi(client, clock=lambda: now)
    fake.trouble = Said(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"})
    for now, left_s in ((0.0, 30.0), (29.0, 1.0)):  # noqa: B007 - the clock reads it
        with pytest.raises(Unavailable) as caught:
            api.call(client.chat_postMessage, channel="C1", text="x")
        assert caught.value.retry_after_s == left_s
    fake.trouble = None
    api.call(client.chat_update, channel="C1", ts="1.2", text="x")
    assert [asked.path for asked in server.asked] == ["/api/chat.postMessage", "/api/chat.update"]
    now = 30.0
    api.call(client.chat_postMessage, channel="C1", text="x")
    assert len(server.asked) == 3


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        SlackApprovals(WebClient(token="t", base_url="http://127.0.0.1:1/api/"), "C1").ask(CARD)


def test_slack_is_used_exactly_when_there_is_a_channel_and_a_token(caplog: pytest.LogCaptureFixture) -> None:
    with_channel = Settings(slack=SlackSettings(channel="C1"))
    assert isinstance(approvals_for(with_channel, {"SLACK_BOT_TOKEN": "xoxb-1"}), SlackApprovals)
    assert isinstance(approvals_for(Settings(), {"SLACK_BOT_TOKEN": "xoxb-1"}), LogApprovals)
    assert caplog.text == ""
    for environ in ({}, {"SLACK_BOT_TOKEN": " "}):
        assert isinstance(approvals_for(with_channel, environ), LogApprovals)
    assert caplog.text.count("SLACK_BOT_TOKEN is not set") == 2
    assert LogApprovals().ask(CARD) == ("terminal", "r-1")
