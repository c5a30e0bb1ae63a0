"""Text that a terminal or a picture would obey, or leave out, is written as its escapes."""

import ast
import sys
import unicodedata

import pytest

from probe.pictures.escapes import escape

OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of control, of format (turns of direction, joiners), of lone surrogates and of line
ends."""

EVERY_SIGN = map(chr, range(sys.maxunicode + 1))
SIGNS = [
    sign for sign in EVERY_SIGN if unicodedata.category(sign) in OBEYED or ord(sign) % 997 == 0
]
"""All of those categories, and some of each other one."""


def test_text_without_signs_of_control_stays_as_it_is():
    for text in ("", "the red circle", "男人跳", "رجل يقفز", "ñ $x$ \\frac </script>", "a\u3000b"):
        assert escape(text) == text


def test_nothing_that_a_terminal_obeys_is_left():
    left = escape("a".join(SIGNS))
    assert not {unicodedata.category(sign) for sign in left} & OBEYED
    assert len(left.splitlines()) == 1
    left.encode()  # no lone surrogate


def test_escapes_say_which_sign_it_was():
    for sign in SIGNS:
        if (written := escape(sign)) != sign:
            assert ast.literal_eval(f"'{written}'") == sign


@pytest.mark.parametrize("text", ["👩\u200d💻", "مى\u200cر"])
def test_joiners_stay_where_scripts_and_emoji_need_them(text):
    assert escape(text) == text


def test_joiners_that_would_only_hide_are_written():
    assert escape("re\u200dd") == "re\\u200dd"
    assert escape("\u200dred") == "\\u200dred"
