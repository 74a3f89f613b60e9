"""A thread per release: one line for everything that matters to people, live; its first message says how it ended."""

from __future__ import annotations

from typing import Any, Final

import orjson
from slack_sdk import WebClient

from promptship.adapters.slack.api import SlackApi
from promptship.adapters.slack.blocks import clip, escape, roll_back_button, section
from promptship.errors import Unavailable
from promptship.lifecycle.announcing import Sink
from promptship.lifecycle.app import App
from promptship.lifecycle.cards import page_of
from promptship.numbers import short
from promptship.release import events as e
from promptship.release.history import Release
from promptship.release.phase import WATCHED, Phase
from promptship.render.facts import PHASE_WORDS, fact_line
from promptship.render.redact import redact
from promptship.render.table import clipped
from promptship.render.verdict import verdict_from

_BEGINS: Final = frozenset({"stage_started", "approval_requested"})
"""What a thread begins with: before that a release has met nobody, and its end is a notice."""
_TOLD: Final = _BEGINS | frozenset(
    {"looked", "escalated", "approval_given", "approved", "promoted", "rolled_back", "cancelled", "failed", "paused", "resumed"}
)  # fmt: skip
_LOOKS_BACK: Final = 12
"""Events before a look among which the one before is sought; with none there, it is told."""
_LINE_LENGTH_MAX: Final = 600


class SlackThread:
    """A sink that follows releases in threads of the configured channel. Where a thread stands is kept in the journal."""

    def __init__(self, app: App, client: WebClient, channel: str) -> None:
        self._app = app
        self._api = SlackApi(client)
        self._channel = channel

    @property
    def name(self) -> str:
        """`slack-thread`."""
        return "slack-thread"

    def wants(self, fact: e.Fact) -> bool:
        """What people follow; of the looks only those that say something else, see `tell`."""
        return fact.kind in _TOLD

    def tell(self, event: e.Event, release: Release) -> None:
        """One line in the thread. Raises Unavailable: later; ConfigError: never."""
        fact = event.fact
        if isinstance(fact, e.Looked) and not self._is_news(event, fact):
            return
        place = self._place(release.id)
        if place is None:
            if fact.kind not in _BEGINS:
                return  # it began before the thread was switched on, or has met nobody
            place = self._begin(release)
        channel, root = place
        self._post(channel, thread_ts=root, text=_line(fact))
        if e.PHASE_AFTER[fact.kind] is not None:
            self._put_right(channel, root, release)

    def _is_news(self, event: e.Event, fact: e.Looked) -> bool:
        """Whether the look before, of the same stage, said something else."""
        verdict = verdict_from(fact.verdict)
        if verdict is None:
            return False
        before = [
            one.fact
            for one in self._app.ledger.events(event.release_id, after=event.seq - _LOOKS_BACK)
            if one.seq < event.seq and isinstance(one.fact, e.Looked)
        ]
        if not before or before[-1].stage != fact.stage:
            return bool(before) or fact.look == 1
        last = verdict_from(before[-1].verdict)
        return last is None or last.outcome is not verdict.outcome

    def _place(self, release_id: str) -> tuple[str, str] | None:
        kept = self._app.journal.entries(_topic(release_id), limit=1)
        return (str(kept[0].data["channel"]), str(kept[0].data["ts"])) if kept else None

    def _begin(self, release: Release) -> tuple[str, str]:
        answer = self._post(self._channel, text=_title(release), blocks=self._head(release))
        channel, root = answer.get("channel"), answer.get("ts")
        if not isinstance(channel, str) or not isinstance(root, str):
            raise Unavailable("Slack took the message but did not say where it stands")
        self._app.journal.keep(
            _topic(release.id), "thread", {"channel": channel, "ts": root}, actor="slack-thread", at=self._app.clock.now()
        )  # fmt: skip
        return channel, root

    def _put_right(self, channel: str, root: str, release: Release) -> None:
        self._api.call(
            self._api.client.chat_update, channel=channel, ts=root, text=_title(release), blocks=self._head(release),
            parse="none", link_names=False,
        )  # fmt: skip

    def _head(self, release: Release) -> list[dict[str, Any]]:
        """The thread's first message: what is released, and the way to stop it while it has traffic."""
        change = f"{short(release.stable)} → {short(release.version)}, commit {short(release.commit)} by {clipped(release.author, 80)}"
        ended = (
            ""
            if release.is_open or not release.reason
            else f"\n{escape(redact(clipped(release.reason, 400)))}"
        )
        blocks = [section(f"*{_title(release)}*\n{escape(redact(change))}{ended}")]
        elements = []
        if release.phase in WATCHED or (release.phase is Phase.PROMOTED and release.stable is not None):
            value = orjson.dumps({"release_id": release.id, "seq": release.question_seq}).decode()
            elements.append(roll_back_button(value))
        page = page_of(self._app, release.id)
        text = f"<{page}|{release.id}>" if page and not set(page) & set("<>|") else release.id
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": f"Release {text}"}]})
        if elements:
            blocks.append({"type": "actions", "block_id": "promptship", "elements": elements})
        return blocks

    def _post(self, channel: str, **more: Any) -> Any:
        return self._api.call(
            self._api.client.chat_postMessage, channel=channel, parse="none", link_names=False, unfurl_links=False,
            unfurl_media=False, **more,
        )  # fmt: skip


def thread_for(app: App, client: WebClient | None) -> list[Sink]:
    """The sink, unless there is no Slack here or the settings do not want it."""
    slack = app.settings.slack
    return [SlackThread(app, client, slack.channel)] if client is not None and slack.thread else []


def _topic(release_id: str) -> str:
    return f"slack-thread:{release_id}"


def _title(release: Release) -> str:
    return escape(redact(f"{clipped(release.prompt, 100)}: {PHASE_WORDS[release.phase]}"))


def _line(fact: e.Fact) -> str:
    return clip(escape(redact(clipped(fact_line(fact), _LINE_LENGTH_MAX))), _LINE_LENGTH_MAX)
