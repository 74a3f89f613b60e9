from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from promptship.evals.promptfoo.csv_tests import assertion_of, number
from promptship.evals.promptfoo.nunjucks.markup import with_links, without_tags
from promptship.evals.promptfoo.nunjucks.scanning import tags
from promptship.evals.promptfoo.terminal_text import without_sequences

PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<>\x1b\x9b"), max_size=20)
TAGS = st.sampled_from(["<b>", "</b>", "<a href='x\ny'>", "<br/>", "<!-- <b> -->", "<H1 class=x>", "<!---->"])
SEQUENCES = st.sampled_from(
    ["\x1b[0m", "\x1b[1;2;3m", "\x9b4A", "\x1b]0;t\x07", "\x1bM", "\x1b(B", "\x1bPx\x1b\\"]
)
MARKED = st.lists(st.sampled_from(["{{", "}}", "{", "}", "a", " ", "{%", "%}"]), max_size=12).map("".join)


@given(st.lists(st.tuples(PLAIN, TAGS), max_size=8), PLAIN)
def test_tags_go_and_the_text_between_them_stays(pairs: list[tuple[str, str]], end: str) -> None:
    assert (
        without_tags("".join(text + tag for text, tag in pairs) + end)
        == "".join(text for text, _ in pairs) + end
    )


@given(st.lists(st.tuples(PLAIN, SEQUENCES), max_size=8), PLAIN)
def test_sequences_go_and_the_text_between_them_stays(pairs: list[tuple[str, str]], end: str) -> None:
    printed = "".join(text + sequence for text, sequence in pairs) + end
    assert without_sequences(printed) == "".join(text for text, _ in pairs) + end


@given(PLAIN, st.none() | st.integers(0, 9))
def test_a_text_without_addresses_gets_no_links(text: str, longest: int | None) -> None:
    plain = re.sub(r"[.@:]", "", text)
    assert with_links(plain, longest, nofollow=False) == plain


@given(
    PLAIN,
    st.sampled_from(["", "(", "<", "&lt;"]),
    st.sampled_from(["", ")", ".", ",", "&gt;"]),
    st.integers(0, 40),
)
def test_an_address_between_words_becomes_a_link(text: str, before: str, after: str, longest: int) -> None:
    plain = re.sub(r"[.@:]", "", text)
    made = with_links(f"{plain} {before}https://x.org/y{after} {plain}", longest, nofollow=True)
    shown = "https://x.org/y"[:longest]
    assert made == f'{plain} <a href="https://x.org/y" rel="nofollow">{shown}</a> {plain}'


@given(MARKED)
def test_tags_are_whole_innermost_and_in_order(text: str) -> None:
    at = 0
    for tag in tags(text, "{{", "}}"):
        assert at <= tag.start < tag.end
        assert text[tag.start : tag.end] == "{{" + tag.content + "}}"
        assert "{{" not in tag.content
        assert "}}" not in tag.content
        at = tag.end
    assert re.search(r"\{\{[^{}]*\}\}", text[at:]) is None


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["", " ", "\t"]))
def test_a_cell_is_a_number_exactly_when_it_is_written_as_one(value: float, space: str) -> None:
    assert number(f"{space}{value!r}{space}") == value
    assert number(f"{value!r}x") is None
    assert number(f"_{value!r}") is None


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), min_size=1, max_size=4
    )
)
def test_a_list_in_a_cell_comes_back_value_by_value(values: list[str]) -> None:
    cell = ",".join('"' + value.replace("\\", "\\\\").replace('"', '""') + '"' for value in values)
    assert assertion_of(f"not-contains-any:{cell}") == {"type": "not-contains-any", "value": values}
