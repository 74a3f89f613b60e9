"""Each prompt rule fires exactly when its condition holds."""

from datetime import timedelta
from string import ascii_letters, digits
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from promptship.prompts.lint import Catalogue, LintContext, Model
from promptship.prompts.lint.personal import personal_numbers_in
from promptship.prompts.lint.secrets import secrets_in
from promptship.prompts.lint.tokens import estimate_tokens
from tests.support.lint import TODAY, findings, prompt, rules, system

NAMES = st.sets(st.sampled_from(["alpha", "beta", "gamma", "delta", "epsilon"]))
TYPES = ["string", "integer", "number", "boolean", "array", "object"]
few = settings(max_examples=60, deadline=None)


@few
@given(used=NAMES, declared=NAMES)
def test_undeclared_and_unused_are_the_two_differences(used: set[str], declared: set[str]) -> None:
    content = "text\n" + "\n".join(f"{{{{ {name} }}}}" for name in sorted(used))
    subject = prompt(
        messages=[{"role": "user", "content": content}],
        variables={name: {"description": "d"} for name in declared},
    )
    named = {
        rule: {f.message.split("`")[1] for f in findings(subject, content) if f.rule == rule}
        for rule in ("PS201", "PS202")
    }
    assert named == {"PS201": used - declared, "PS202": declared - used}


VALUES = st.recursive(
    # 2.0 is an integer to JSON Schema and none to promptship; null is no default.
    st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
).filter(lambda value: not (isinstance(value, float) and value.is_integer()))


@few
@given(kind=st.sampled_from(TYPES), value=VALUES, enum=st.none() | st.lists(VALUES, min_size=1, max_size=3))
def test_an_example_or_default_is_a_finding_exactly_when_json_schema_refuses_it(
    kind: str, value: Any, enum: Any
) -> None:
    schema: dict[str, Any] = {"type": kind} | ({} if enum is None else {"enum": enum})
    refused = not Draft202012Validator(schema).is_valid(value)
    declared = {"type": kind, "enum": enum, "description": "d"}
    found = rules(prompt(variables={"a": declared | {"examples": [value]}}))
    assert ("PS203" in found) == refused
    assert ("PS204" in rules(prompt(variables={"a": declared | {"default": value}}))) == refused
    choices = [] if enum is None else enum
    assert ("PS206" in found) == (not all(Draft202012Validator({"type": kind}).is_valid(c) for c in choices))


@few
@given(days=st.integers(-1000, 1000), notice=st.integers(0, 200))
def test_a_model_is_retired_or_retiring_or_neither(days: int, notice: int) -> None:
    catalogue = Catalogue({"house-model": Model(retires_on=TODAY + timedelta(days=days))})
    found = rules(prompt(), context=LintContext(catalogue=catalogue, today=TODAY, retires_soon_days=notice))
    assert found == ({"PS303"} if days <= 0 else {"PS304"} if days <= notice else set())


@few
@given(chars=st.integers(0, 400), answer=st.integers(0, 400), context=st.integers(1, 400))
def test_the_budget_is_over_near_or_fine(chars: int, answer: int, context: int) -> None:
    subject = prompt(messages=[{"role": "user", "content": "x" * chars}], parameters={"max_tokens": answer})
    found = rules(
        subject,
        context=LintContext(catalogue=Catalogue({"house-model": Model(context_tokens=context)}), today=TODAY),
    )
    total = 3 + 4 + -(-chars // 3) + answer
    assert found == ({"PS305"} if total > context else {"PS306"} if 10 * total > 8 * context else set())


@few
@given(st.text(max_size=50), st.text(max_size=50))
def test_the_token_estimate_grows_with_the_text_and_is_never_split_by_it(one: str, other: str) -> None:
    assert (
        estimate_tokens(one) <= estimate_tokens(one + other) <= estimate_tokens(one) + estimate_tokens(other)
    )


WORDS = st.text("abcdefghij ,.", max_size=20)


@few
@given(before=WORDS, key=st.text(ascii_letters + digits, min_size=36, max_size=36), after=WORDS)
def test_a_github_token_is_found_exactly_when_it_is_whole(before: str, key: str, after: str) -> None:
    assume(
        "xxx" not in key.lower() and not any(w in key.lower() for w in ("your", "todo", "dummy", "sample"))
    )
    whole, cut = f"{before} ghp_{key} {after}", f"{before} ghp_{key[1:]} {after}"
    assert [whole[hit.start : hit.end] for hit in secrets_in(whole)] == [f"ghp_{key}"]
    assert secrets_in(cut) == ()
    for finding in findings(prompt(), whole):
        assert key not in finding.message + finding.advice


def _check_digit(payload: str) -> str:
    """Luhn's check digit by its table of doubled digits: written independently of the code under test."""
    doubled = "0246813579"
    total = sum(int(doubled[int(d)]) if i % 2 == 0 else int(d) for i, d in enumerate(reversed(payload)))
    return str(-total % 10)


@few
@given(
    body=st.text(digits, min_size=14, max_size=14),
    last=st.sampled_from(digits),
    gap=st.sampled_from(["", " ", "-"]),
)
def test_a_card_is_found_exactly_when_its_check_digit_is_right(body: str, last: str, gap: str) -> None:
    number = f"4{body}{last}"
    assume(len(set(number)) > 1)
    line = "card " + gap.join(number[i : i + 4] for i in range(0, 16, 4)) + " thanks"
    found = [hit for hit in personal_numbers_in(line) if hit.kind == "a payment card number"]
    assert bool(found) == (last == _check_digit(f"4{body}"))


@few
@given(body=st.text(digits, min_size=18, max_size=18), check=st.integers(2, 98), right=st.booleans())
def test_an_iban_is_found_exactly_when_its_check_digits_are_right(body: str, check: int, right: bool) -> None:
    valid = 98 - int(f"{body}131400") % 97
    used = valid if right else check
    line = f"pay DE{used:02d}{body}, please"
    assert any(hit.kind == "an IBAN" for hit in personal_numbers_in(line)) == (used == valid)


PARTS = st.sampled_from(
    [
        ("<q>{}</q>", True),
        ("```\n{}\n```", True),
        ('"""{}"""', True),
        ("-----\n{}\n-----", True),
        ("## BEGIN TEXT ##\n{}\n## END TEXT ##", True),
        ("<<<\n{}\n>>>", True),
        ("{}", False),
        ('"{}"', False),
        ("<rules>{}</rules>", False),
        ("<q>{}", False),
        ("Their words: {}", False),
    ]
)


@few
@given(
    parts=st.lists(PARTS, min_size=1, max_size=4),
    role=st.sampled_from(["system", "developer", "user", "assistant"]),
)
def test_untrusted_input_is_a_finding_exactly_when_some_place_is_bare(
    parts: list[tuple[str, bool]], role: str
) -> None:
    # An element left open would be closed by a later one.
    assume(sum("<q>" in part for part, _ in parts) <= 1)
    content = "\n\nGo on.\n\n".join(part.format("{{ topic }}") for part, _ in parts)
    variables = {"topic": {"description": "d", "untrusted": True}}
    subject = prompt(messages=[{"role": role, "content": content}], variables=variables)
    bare = any(not delimited for _, delimited in parts)
    assert ("PS404" in rules(subject)) == (bare and role in {"system", "developer"})


@few
@given(
    at=st.integers(1, 8),
    comment=st.integers(1, 9),
    rule=st.sampled_from(["PS403", "PS401"]),
    alone=st.booleans(),
)
def test_a_finding_is_silenced_exactly_by_its_rule_on_its_line_or_alone_above(
    at: int, comment: int, rule: str, alone: bool
) -> None:
    lines = ["text"] * 9
    lines[at - 1] = "jane@acme.com"
    lines[comment - 1] += f"  # promptship: ignore[{rule}]"
    if alone and comment != at:
        lines[comment - 1] = f"# promptship: ignore[{rule}]"
    silenced = rule == "PS403" and (comment == at or (alone and comment == at - 1))
    assert ("PS403" in rules(prompt(), "\n".join(lines))) is not silenced


@few
@given(st.text(alphabet="{}%# \n<>`-'\"=BEGINENDabq/|.\\", max_size=60))
def test_no_template_makes_lint_fail(content: str) -> None:
    findings(system(content, q={"untrusted": True}), content)
