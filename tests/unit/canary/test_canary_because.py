"""The sentence of a finding and its row in the table say the same numbers: both are written by `promptship.numbers`."""

from hypothesis import given
from hypothesis import strategies as st

from promptship.canary import because
from promptship.canary.evidence import ArmCounts, Counts, Verdict
from promptship.canary.reading import Reading
from promptship.release.plan import Guardrail
from promptship.render.verdict import HEADER, verdict_rows

COUNTS = st.integers(1, 5_000).flatmap(
    lambda requests: st.builds(Counts, requests=st.just(requests), events=st.integers(0, requests))
)


@given(COUNTS, COUNTS, st.floats(0.01, 1e7), st.floats(1.01, 1e4))
def test_a_sentence_and_the_table_say_the_same_numbers(
    candidate: Counts, stable: Counts, e_harm: float, threshold: float
) -> None:
    reading = Reading(
        guardrail=Guardrail(metric="error_rate"),
        counts=ArmCounts(candidate=candidate, stable=stable),
        e_harm=e_harm,
    )
    finding = because.harmful(reading, threshold)
    (row,) = verdict_rows(Verdict(stage=0, look=1, findings=(finding,)))
    cells = dict(zip(HEADER, row, strict=True))
    assert (
        f"the evidence of harm is {cells['e-value']}, and {cells['threshold']} is enough to roll back."
        in finding.because
    )
    for arm in ("candidate", "stable"):
        rate, _, requests = cells[arm].partition(" of ")
        assert f"{arm} {rate} (" in finding.because
        assert f" of {requests})" in finding.because
