"""Reading a click, and answering the person who clicked."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.adapters.slack import (
    Click,
    Rejection,
    answer_privately,
    form_in,
    payload_in,
    read_command,
    read_interaction,
)
from promptship.errors import ConfigError, Unavailable
from tests.support.plane import click, reject_modal, typed
from tests.support.standin import Said, stand_in


def body(payload: Any) -> bytes:
    return urlencode({"payload": json.dumps(payload)}).encode()


def pressed(**changes: Any) -> dict[str, Any]:
    value = json.dumps({"release_id": "r-1", "seq": 5})
    action = {"action_id": "promptship_approve", "value": value}
    return {"type": "block_actions", "user": {"id": "U1"}, "actions": [action], **changes}


def read_click(raw: bytes) -> Click | Rejection | None:
    return read_interaction(payload_in(raw))


def test_reads_who_pressed_what() -> None:
    assert read_click(
        click("r-1", seq=7, user="U9", action="promptship_reject", response_url="https://x")
    ) == Click(
        decision="reject", release_id="r-1", seq=7, user="U9", name="name of U9", channel="C1", response_url="https://x"
    )  # fmt: skip
    found = read_click(body(pressed()))
    assert isinstance(found, Click)
    assert (found.decision, found.name, found.response_url) == ("approve", "U1", "")


def test_reads_who_rejected_and_why() -> None:
    assert read_click(reject_modal("r-1", seq=7, user="U9", reason="no\x00 <!here>")) == Rejection(
        release_id="r-1", seq=7, user="U9", name="name of U9", channel="C1", reason="no <!here>"
    )


@given(raw=st.binary(max_size=60) | st.just(typed("rollback support why not")))
def test_no_bytes_crash_the_reader_of_commands(raw: bytes) -> None:
    try:
        command = read_command(form_in(raw))
    except ConfigError:
        return
    assert all(command.words)


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "view_submission"}, {}, pressed(actions=[]), pressed(actions=None), pressed(actions=["x"]),
        pressed(actions=[{"action_id": "another_button", "value": "?"}]),
    ],
)  # fmt: skip
def test_other_interactions_are_passed_over(payload: dict[str, Any]) -> None:
    assert read_click(body(payload)) is None


def with_value(value: Any) -> dict[str, Any]:
    return pressed(actions=[{"action_id": "promptship_approve", "value": value}])


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\xff\x00", b"payload=", b"payload={", b"payload=[]", b"payload=null", b"other=1",
        body(with_value(None)), body(with_value("{")), body(with_value('{"release_id": "r-1"}')),
        body(with_value('{"release_id": 1, "seq": 1}')), body(with_value('{"release_id": "r", "seq": true}')),
        body(with_value('{"release_id": "r", "seq": 1.5}')), body(pressed(user=None)), body(pressed(user={"id": ""})),
        body(pressed(user={"id": 5})),
    ],
)  # fmt: skip
def test_what_is_no_click_is_a_config_error(raw: bytes) -> None:
    with pytest.raises(ConfigError):
        read_click(raw)


@given(raw=st.binary(max_size=60) | st.binary(max_size=60).map(lambda tail: b"payload=" + tail))
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    try:
        read_click(raw)
    except ConfigError:
        pass
    except ValueError as error:  # parse_qs: too many fields
        pytest.fail(f"{error}")


def test_only_the_person_who_clicked_is_answered() -> None:
    with stand_in(lambda _: Said(200, b"ok")) as server:
        answer_privately(
            f"{server.url}/actions/1",
            "No: <!here> & sk-1234567890abcdefgh",
            base_url=f"{server.url}/api/",
        )
    (asked,) = server.asked
    assert asked.json["response_type"] == "ephemeral"
    assert asked.json["replace_original"] is False
    assert asked.json["text"] == "No: &lt;!here&gt; &amp; [redacted]"


@pytest.mark.parametrize(
    "url",
    [
        "", "nonsense", "http://hooks.slack.com/x", "https://slack.com.evil.example/x", "https://evilslack.com/x",
        "https://evil.example/.slack.com", "http://127.0.0.1:1/x", "file:///etc/passwd", "https://hooks.slack.com@evil.example/",
        "https://[", "http://169.254.169.254/latest",
    ],
)  # fmt: skip
def test_no_address_outside_slack_is_called(url: str) -> None:
    with pytest.raises(Unavailable, match="no address of Slack"):
        answer_privately(url, "x", base_url="https://slack.com/api/")


def test_trouble_is_unavailable() -> None:
    with stand_in(lambda _: Said(404, b"expired_url")) as server, pytest.raises(Unavailable, match="404"):
        answer_privately(f"{server.url}/x", "x", base_url=server.url)
    with pytest.raises(Unavailable):
        answer_privately("http://127.0.0.1:1/x", "x", base_url="http://127.0.0.1:1/api/")
