"""Who is in a user group, and which e-mail address somebody has: asked once a minute, and never guessed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from promptship.adapters.slack.api import SlackApi
from promptship.errors import PromptshipError, Unavailable

KEPT_S: Final = 60.0
"""How long an answer is good for: somebody who leaves a group may approve at most so much longer."""


class SlackPeople:
    """`usergroups.users.list` and `users.info`."""

    def __init__(self, api: SlackApi, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._members: dict[str, tuple[float, frozenset[str]]] = {}
        self._emails: dict[str, tuple[float, str]] = {}

    def members(self, group: str) -> frozenset[str]:
        """User ids of a group (scope usergroups:read). Raises Unavailable, also when scope or group are wrong."""
        known = self._members.get(group)
        if known is not None and self._clock() - known[0] < KEPT_S:
            return known[1]
        try:
            answer = self._api.call(self._api.client.usergroups_users_list, usergroup=group)
        except PromptshipError as error:
            after_s = error.retry_after_s if isinstance(error, Unavailable) else None
            raise Unavailable(
                f"the members of the user group {group} are not known: {error}", retry_after_s=after_s
            ) from error
        users = answer.get("users")
        if not isinstance(users, list) or not all(isinstance(user, str) for user in users):
            raise Unavailable(f"Slack did not say who is in the user group {group}")
        self._members[group] = self._clock(), frozenset(users)
        return self._members[group][1]

    def email(self, user: str) -> str:
        """Address of a user, lower case; empty without the scopes users:read and users:read.email. Raises Unavailable."""
        known = self._emails.get(user)
        if known is not None and self._clock() - known[0] < KEPT_S:
            return known[1]
        try:
            answer = self._api.call(self._api.client.users_info, user=user)
        except Unavailable:
            raise
        except PromptshipError:
            return ""
        person = answer.get("user")
        profile = person.get("profile") if isinstance(person, dict) else None
        email = profile.get("email") if isinstance(profile, dict) else None
        self._emails[user] = self._clock(), email.strip().lower() if isinstance(email, str) else ""
        return self._emails[user][1]
