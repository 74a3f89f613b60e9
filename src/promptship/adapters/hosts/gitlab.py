"""Merge requests of GitLab: a commit status, and one note."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from promptship.adapters.hosts.access import PAGES_MAX, Api, Token
from promptship.errors import NotFound, Refused
from promptship.ports import Pull, Report
from promptship.render.table import clipped

STATUS: Final = "promptship"
_DESCRIPTION_MAX: Final = 250
_STATES: Final = {"success": "success", "failure": "failed", "neutral": "failed"}
"""GitLab knows no neutral one; what was not measured must not let a merge pass."""


class GitLab:
    """`ports.Host` over GitLab's REST API, version 4."""

    def __init__(self, api_url: str, project: str, token: Token) -> None:
        def headers() -> Mapping[str, str]:
            known = token()
            return {"PRIVATE-TOKEN": known} if known else {}

        self._api = Api("GitLab", api_url, headers)
        self._at = f"/projects/{quote(project, safe='')}"

    def pull(self, number: int) -> Pull:
        """The merge request as it is now. Raises NotFound."""
        _, told = self._api.call("GET", f"{self._at}/merge_requests/{number}")
        return Pull(
            number=number,
            head=str(told["sha"]),
            base=str(told["target_branch"]),
            is_open=told["state"] in {"opened", "locked"},
            fork=told.get("source_project_id") != told.get("target_project_id"),
            author=str((told.get("author") or {}).get("username", "")),
            ref=f"refs/merge-requests/{number}/head",
        )

    def begin(self, head: str, *, title: str, known: str = "") -> str:
        """The status `running`."""
        if not known:
            self._status(head, "running", title)
        return known or STATUS

    def finish(self, head: str, reference: str, report: Report) -> None:  # noqa: ARG002 - a status has no id
        """The status `success` or `failed`. Findings stand in the note: GitLab's statuses have no annotations."""
        self._status(head, _STATES[report.outcome], report.title)

    def comment(self, number: int, text: str, *, marker: str, known: str = "") -> str:
        """Create our note, or replace its text."""
        notes = f"{self._at}/merge_requests/{number}/notes"
        body = {"body": f"{marker}\n{text}"}
        found = known or self._find(notes, marker)
        if found:
            try:
                self._api.call("PUT", f"{notes}/{found}", body)
                return found
            except NotFound:
                pass  # somebody deleted it
        _, told = self._api.call("POST", notes, body)
        return str(told["id"])

    def _find(self, notes: str, marker: str) -> str:
        for page in range(1, PAGES_MAX + 1):
            _, told = self._api.call("GET", f"{notes}?per_page=100&page={page}&sort=asc")
            for one in told:
                if not one.get("system") and str(one.get("body") or "").startswith(marker):
                    return str(one["id"])
            if len(told) < 100:  # noqa: PLR2004 - a page
                break
        return ""

    def _status(self, head: str, state: str, title: str) -> None:
        body = {"state": state, "name": STATUS, "description": clipped(title, _DESCRIPTION_MAX)}
        status, told = self._api.call(
            "POST", f"{self._at}/statuses/{head}", body, accept=frozenset({HTTPStatus.BAD_REQUEST})
        )
        if status == HTTPStatus.BAD_REQUEST and not _is_there_already(told):
            raise Refused(f"GitLab does not take status {state} of commit {head[:12]}")


def _is_there_already(told: Any) -> bool:
    """GitLab refuses to move a status to where it stands: somebody set it before us, which is what we want."""
    return "cannot transition status" in str(told).lower()
