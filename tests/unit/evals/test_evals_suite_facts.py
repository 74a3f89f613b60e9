"""Facts of a suite's cases: copies, near copies, empty demands, credentials, personal data."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.evals.suite_facts import CaseRow, case_rows
from tests.support.suites import suite_of


def rows_of(text: str) -> dict[str, CaseRow]:
    return {row.id: row for row in case_rows(suite_of(text))}


def test_an_ordinary_suite_has_nothing_to_report() -> None:
    rows = rows_of("""
        cases:
          - {id: a, vars: {question: Where is my card?}, tags: [cards], assert: [{type: contains, value: card}]}
          - {id: b, vars: {question: Why was my refund declined?}, assert: [{type: icontains, value: refund}]}
        """)
    assert [(row.duplicate_of, row.near_duplicate_of, row.secret, row.personal) for row in rows.values()] == [
        (None, None, None, None),
        (None, None, None, None),
    ]
    assert (rows["a"].slices, rows["a"].checks, rows["a"].empty_checks) == (("cards",), 1, 0)


def test_a_copy_names_the_first_of_its_kind() -> None:
    rows = rows_of("""
        defaults: {assert: [{type: contains, value: card}]}
        cases:
          - {id: a, vars: {question: Where is my card?}}
          - {id: b, vars: {question: Where is my card?}, tags: [other]}
          - {id: c, vars: {question: Where is my card?}, assert: [{type: contains, value: more}]}
        """)
    assert (rows["b"].duplicate_of, rows["c"].duplicate_of) == ("a", None)
    assert (rows["b"].near_duplicate_of, rows["c"].near_duplicate_of) == (None, "a")


def test_cases_of_one_topic_may_be_alike() -> None:
    text = """
        defaults: {{assert: [{{type: contains, value: card}}]}}
        cases:
          - {{id: a, {0} vars: {{question: "I lost my card in Rome and I need another one soon, please!"}}}}
          - {{id: b, {0} vars: {{question: "I lost my card in Oslo and I need another one soon, please!"}}}}
        """
    assert rows_of(text.format(""))["b"].near_duplicate_of == "a"
    assert rows_of(text.format("topic: lost,"))["b"].near_duplicate_of is None
    apart = text.replace("{{id: b, {0}", "{{id: b, topic: other,").format("topic: lost,")
    assert rows_of(apart)["b"].near_duplicate_of is None  # somebody has said that they are two facts
    one_says = text.replace("{{id: b, {0}", "{{id: b,").format("topic: lost,")
    assert rows_of(one_says)["b"].near_duplicate_of == "a"


def test_looking_for_nothing_is_seen() -> None:
    rows = rows_of("""
        cases:
          - {id: a, vars: {question: x}, assert: [{type: regex, value: ".*"}, {type: regex, value: "a+"}]}
        """)
    assert (rows["a"].checks, rows["a"].empty_checks) == (2, 1)


def test_credentials_and_people_are_seen_but_never_repeated() -> None:
    rows = rows_of("""
        defaults: {assert: [{type: contains, value: x}]}
        cases:
          - {id: key, vars: {question: "my key is AKIAQ3EGRMZK7PLWBXUC, is it safe"}}
          - {id: person, vars: {question: "write to jane.miller@gmail.com about it"}}
          - {id: nested, vars: {question: {deep: ["call +49 30 901820 today"]}}}
        """)
    assert (rows["key"].secret, rows["key"].personal) == ("an AWS access key id", None)
    assert (rows["person"].secret, rows["person"].personal) == (None, "an e-mail address")
    assert rows["nested"].personal == "a phone number"
    assert "AKIA" not in repr(rows)
    assert "jane" not in repr(rows)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from(["one two three four five", "six seven eight", "nine"]), min_size=1, max_size=6)
)
def test_a_case_is_a_copy_exactly_when_an_earlier_one_says_the_same(questions: list[str]) -> None:
    cases = "".join(
        f"\n  - {{id: c{n}, vars: {{question: {text}}}, assert: [{{type: contains, value: x}}]}}"
        for n, text in enumerate(questions)
    )
    rows = case_rows(suite_of("cases:" + cases))
    first = {text: f"c{len(questions) - 1 - n}" for n, text in enumerate(reversed(questions))}
    expected = [None if first[text] == f"c{n}" else first[text] for n, text in enumerate(questions)]
    assert [row.duplicate_of for row in rows] == expected
