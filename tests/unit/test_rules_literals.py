"""Letters that a regex cannot match without."""

import pytest
import re2

from rules.literals import required_letters
from rules.words import normal


@pytest.mark.parametrize(
    ("pattern", "letters", "text"),
    [
        (r"(?i)rma[- ]?47\d{4}", "rma", "RMA 471234"),
        (r"order\s*#?\d+", "order", "order  #12"),
        (r"orders?", "order", "order"),
        (r"ab*cd", "cd", "acd"),
        (r"ab{0,2}cd", "cd", "acd"),
        (r"ab+cd", "ab", "abbbcd"),
        (r"(re)?fund", "fund", "fund"),
        (r"(re(\)|x)?)?fund", None, "fund"),
        (r"a|b", None, "b"),
        (r"[order]+ [[:alpha:]]xy", "xy", "ooo qxy"),
        (r"[]ab]xy", "xy", "]xy"),
        (r"[^]ab]xy", "xy", "cxy"),
        (r"\d\wab\.cd", "ab", "1xab.cd"),
        (r"\x41bc", None, "Abc"),
        (r"\pLbc", None, "xbc"),
        (r"\Qab?cd\E", None, "ab?cd"),
        (r"^\Qorder\E*$", None, "orde"),
        (r"(\Q)\Eabcdef)?xyz", None, "xyz"),
        (r"ab(?i)*", None, "a"),
        (r"xyab(?i){0,1}", None, "xya"),
        (r"(?i)order", "order", "ORDER"),
        (r"^$", None, ""),
        (r"ſtr", "tr", "ſtr"),
        (r"a", None, "a"),
        ("\\", None, ""),
        ("[ab", None, ""),
        ("(ab", None, ""),
        ("ab{", None, ""),
    ],
)
def test_what_a_match_has_to_contain(pattern: str, letters: str | None, text: str) -> None:
    assert required_letters(pattern) == letters
    if letters is not None:
        assert re2.compile(pattern).search(text) is not None
        assert letters in normal(text)
