"""Who somebody is, and what he may say yes to: configured people, and members of user groups."""

from __future__ import annotations

import re
from typing import Final

from promptship.errors import Unavailable
from promptship.lifecycle.app import App
from promptship.prompts.model import RiskClass
from promptship.settings import Approver
from promptship.settings.people import ApproverGroup

_USER: Final = re.compile(r"[UW][A-Z0-9]{2,20}")
"""A user id of Slack's."""


def find_approver(approvers: tuple[Approver, ...], who: str) -> Approver | None:
    """The configured approver with this name, e-mail address (any case) or Slack id."""
    wanted = who.strip().lower()
    for approver in approvers:
        if wanted and wanted in {approver.name.lower(), approver.email.lower(), approver.slack.lower()}:
            return approver
    return None


def identify(app: App, who: str, *, risk: RiskClass | None = None) -> Approver | None:
    """The approver that `who` is, with every risk class that entry and groups give him; None: he is none.

    Groups are asked only where the entry does not settle it. `risk`: what he is about to say yes to; None: any approver will do.

    Raises:
        Unavailable: a group that may give him the right could not be looked up.
    """
    configured = find_approver(app.settings.approvers, who)
    if configured is not None and (risk is None or risk in configured.risks):
        return configured
    user = configured.slack if configured is not None else who.strip()
    if not _USER.fullmatch(user):
        return configured
    groups = app.settings.approval.groups
    granting = [group for group in groups if risk is None or risk in group.risks]
    group = _group_of(app, user, granting, required=True)
    if group is None:
        # He gets no right from here on; it only remains to say why.
        group = None if configured is not None else _group_of(app, user, groups, required=False)
    if group is None:
        return configured
    return _member(app, user, configured, group)


def _group_of(
    app: App, user: str, groups: tuple[ApproverGroup, ...] | list[ApproverGroup], *, required: bool
) -> ApproverGroup | None:
    unknown: Unavailable | None = None
    for group in groups:
        try:
            if user in app.approvals.members(group.slack):
                return group
        except Unavailable as error:
            unknown = error
    if unknown is not None and required:
        raise Unavailable(
            f"cannot tell now whether {user} may approve: {unknown}", retry_after_s=unknown.retry_after_s
        )
    return None


def _member(app: App, user: str, configured: Approver | None, group: ApproverGroup) -> Approver:
    """A member of a group. Who is configured under the same e-mail address is that person: nobody counts twice."""
    if configured is None:
        email = app.approvals.email(user)
        known = find_approver(app.settings.approvers, email) if email else None
        configured = known or Approver(name=user, email=email, slack=user, risks=group.risks)
    risks = tuple(risk for risk in RiskClass if risk in configured.risks or risk in group.risks)
    return configured.model_copy(update={"risks": risks})
