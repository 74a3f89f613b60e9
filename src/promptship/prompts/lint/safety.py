"""Rules about what must not stand in a prompt file, and about untrusted input (PS4xx)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from promptship.prompts.lint.delimiters import interpolations
from promptship.prompts.lint.finding import LintFinding, Rule
from promptship.prompts.lint.personal import contacts_in, personal_numbers_in
from promptship.prompts.lint.secrets import secrets_in
from promptship.prompts.lint.subject import Check, Subject
from promptship.prompts.lint.untrusted import untrusted_variables

SECRET = Rule(
    id="PS401",
    name="secret-in-text",
    severity="error",
    summary="A credential stands in the file: it goes to the model, to Git and to everybody who can read either.",
)
PERSONAL_NUMBER = Rule(
    id="PS402",
    name="personal-number",
    severity="error",
    summary="A payment card number, IBAN or US social security number with valid check digits stands in the file.",
)
CONTACT = Rule(
    id="PS403",
    name="contact-detail",
    severity="warning",
    summary="An e-mail address or phone number of a person stands in the file.",
)
UNDELIMITED_INPUT = Rule(
    id="PS404",
    name="undelimited-input",
    severity="error",
    summary="An untrusted variable is written into a system or developer message without delimiters, so its text can pass "
    "for instructions.",
)
INSTRUCTING_ROLES: Final = frozenset({"system", "developer"})


def secret(subject: Subject) -> Iterator[LintFinding]:
    """Credentials anywhere in the file, comments and examples included: Git keeps them all."""
    for number, line in enumerate(subject.lines, start=1):
        for hit in secrets_in(line):
            message = f"this looks like {hit.kind}"
            advice = "revoke it, remove it from the file and from Git's history"
            yield SECRET.found(subject.path, (number, hit.start + 1), message, advice)


def personal_number(subject: Subject) -> Iterator[LintFinding]:
    """Numbers that identify a person or an account."""
    for number, line in enumerate(subject.lines, start=1):
        for hit in personal_numbers_in(line):
            message = f"this looks like {hit.kind}"
            advice = "replace it by an invented one whose check digits are wrong"
            yield PERSONAL_NUMBER.found(subject.path, (number, hit.start + 1), message, advice)


def contact(subject: Subject) -> Iterator[LintFinding]:
    """How to reach a person; the owner's own address is meant to be there."""
    for number, line in enumerate(subject.lines, start=1):
        for hit in contacts_in(line, allowed=subject.prompt.owner or ""):
            message = f"this looks like {hit.kind}"
            advice = "use a role address, or an example one such as name@example.com or 555-0100"
            yield CONTACT.found(subject.path, (number, hit.start + 1), message, advice)


def undelimited_input(subject: Subject) -> Iterator[LintFinding]:
    """Each untrusted variable once per message, at its first interpolation without delimiters."""
    for template in subject.templates:
        if template.error or template.role not in INSTRUCTING_ROLES:
            continue
        untrusted = untrusted_variables(subject.prompt, template.used)
        said: set[str] = set()
        for part in interpolations(template.content, untrusted):
            if said >= untrusted:
                break
            for name in sorted(part.names - said if not part.delimited else ()):
                said.add(name)
                place = subject.place(template, part.line, r"\{\{")
                message = (
                    f"untrusted variable `{name}` stands in a {template.role} message without delimiters"
                )
                advice = f"move it to a user message, or write <{name}>{{{{ {name} }}}}</{name}>"
                yield UNDELIMITED_INPUT.found(subject.path, place, message, advice)


SAFETY_RULES: Final[tuple[tuple[Rule, Check], ...]] = (
    (SECRET, secret),
    (PERSONAL_NUMBER, personal_number),
    (CONTACT, contact),
    (UNDELIMITED_INPUT, undelimited_input),
)
