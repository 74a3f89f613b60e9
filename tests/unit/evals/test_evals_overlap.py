"""Numbers others published or computed: BLEU, GLEU, METEOR (nltk 3.10.4, METEOR without WordNet), the examples of Porter's paper."""

from __future__ import annotations

import pytest

from promptship.evals.assertions.overlap import Meteor, bleu, gleu, rouge_n, treebank_words
from promptship.evals.assertions.porter import stem

# The example of Papineni et al. 2002.
GOOD = "It is a guide to action which ensures that the military always obeys the commands of the party"
BAD = "It is to insure the troops forever hearing the activity guidebook that party direct"
REFERENCES = [
    "It is a guide to action that ensures that the military will forever heed Party commands",
    "It is the guiding principle which guarantees the military forces always being under the command of the Party",
    "It is the practical guide for the army always to heed the directions of the party",
]


def test_bleu_of_the_papers_example() -> None:
    assert bleu(GOOD, REFERENCES) == pytest.approx(0.5045666840058485)
    assert bleu(GOOD, REFERENCES[:1]) == pytest.approx(0.4208598069524091)
    assert bleu(GOOD, REFERENCES, best_reference=True) < bleu(GOOD, REFERENCES)


def test_of_two_references_as_near_in_length_the_shorter_counts() -> None:
    assert bleu("a b c", ["a b", "a b c d"]) == pytest.approx(1.0)


def test_gleu_and_meteor_as_nltk_has_them() -> None:
    assert gleu(GOOD, REFERENCES) == pytest.approx(0.45454545454545453)
    assert gleu(BAD, REFERENCES[:1]) == pytest.approx(0.13793103448275862)
    assert Meteor()(GOOD, REFERENCES) == pytest.approx(0.6944444444444445)
    assert Meteor()(BAD, REFERENCES) == pytest.approx(0.3035391371738569)


def test_rouge_counts_a_repeated_word_as_often_as_both_have_it() -> None:
    assert rouge_n("the the the", "the cat") == pytest.approx(2 * 1 / (3 + 2))
    assert rouge_n("police killed the gunman", "police kill the gunman") == pytest.approx(0.75)
    assert rouge_n("police killed the gunman", "police kill the gunman", order=2) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("They'll save and invest more.", "They 'll save and invest more ."),
        ("I can't, won't and cannot.", "I ca n't , wo n't and can not ."),
        ('He said "no" (twice)...', "He said `` no '' ( twice ) ..."),
        ("It's 3,000 at 10:30; the dogs' U.S. trip", "It 's 3,000 at 10:30 ; the dogs ' U.S. trip"),
        (" \n", ""),
    ],
)
def test_words_are_cut_as_in_the_penn_treebank(text: str, words: str) -> None:
    assert treebank_words(text) == words.split()


STEMS = """
caresses:caress ponies:poni ties:ti caress:caress cats:cat feed:feed agreed:agre plastered:plaster bled:bled motoring:motor
sing:sing conflated:conflat troubled:troubl sized:size hopping:hop tanned:tan falling:fall hissing:hiss fizzed:fizz
failing:fail filing:file happy:happi sky:sky relational:relat conditional:condit rational:ration valenci:valenc
digitizer:digit conformabli:conform radicalli:radic differentli:differ vileli:vile analogousli:analog
vietnamization:vietnam predication:predic operator:oper feudalism:feudal decisiveness:decis hopefulness:hope
formaliti:formal sensitiviti:sensit sensibiliti:sensibl triplicate:triplic formative:form formalize:formal
electriciti:electr electrical:electr hopeful:hope goodness:good revival:reviv allowance:allow inference:infer
airliner:airlin gyroscopic:gyroscop adjustable:adjust defensible:defens irritant:irrit replacement:replac
adjustment:adjust dependent:depend adoption:adopt homologou:homolog communism:commun activate:activ angulariti:angular
homologous:homolog effective:effect bowdlerize:bowdler probate:probat rate:rate cease:ceas controll:control roll:roll
generalizations:gener oscillators:oscil as:as
"""


def test_stems_of_porters_paper() -> None:
    pairs = [pair.split(":") for pair in STEMS.split()]
    assert [f"{word}:{stem(word)}" for word, _ in pairs] == [":".join(pair) for pair in pairs]
