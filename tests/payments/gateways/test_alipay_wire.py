"""Alipay's wire format."""

from urllib.parse import parse_qsl, quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.gateways.alipay.wire import MAX_FIELDS, plain_subject, read_form

# --- Forms --------------------------------------------------------------------------------------------------

# Bodies that are forms, almost forms, and nothing like forms.
_TEXT = st.text(max_size=6)
_PIECE = st.sampled_from(
    ["a", "b", "=", "&", "+", "%", "%2", "%26", "%3d", "%25", "%00", "%ff", "%E8%AF%BE", "%E8%AF", ";", "\n"]
)
_FORM = st.lists(st.tuples(_TEXT, _TEXT, st.sampled_from([quote, quote_plus])), max_size=5).map(
    lambda fields: "&".join(f"{encode(name)}={encode(value)}" for name, value, encode in fields)
)


@given(body=_FORM | st.lists(_PIECE, max_size=12).map("".join))
def test_form_is_what_the_standard_library_finds(body: str) -> None:
    try:
        expected = parse_qsl(
            body, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        expected = []
    is_form = (
        bool(expected)
        and len(dict(expected)) == len(expected)
        and not any("\x00" in value for _, value in expected)
    )
    if is_form:
        assert list(read_form(body.encode()).items()) == expected
    else:
        with pytest.raises(ValueError, match=r"."):
            read_form(body.encode())


# --- Subjects -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("课程 A&B=C/D", "课程 A B C D"),
        ("a&b=c/d", "a b c d"),
        ("Python 全栈", "Python 全栈"),
        ("/=&", "在线课程"),
        ("", "在线课程"),
        (" \t\r\n\u3000\xa0", "在线课程"),
        ("/=& 等3门课程", "等3门课程"),
        ("a\x00b\x1fc\x7fd\u200be\u202ef", "a b c d e f"),
        ("🐍🚀", "在线课程"),
        ("Python 🐍 入门", "Python 入门"),
        ("👩‍💻 编程", "编程"),
        ("❤️", "在线课程"),
        ("\u3164\uffa0", "在线课程"),
        ("\ud800x", "x"),
        ("한국어 입문", "한국어 입문"),
        ("e\u0301te\u0301", "été"),
        ("《数据库》：第 1 课——★", "《数据库》：第 1 课——★"),
    ],
)
def test_subject_is_plain_and_never_blank(text: str, subject: str) -> None:
    assert plain_subject(text) == subject


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("a" * 129, "a" * 128),
        ("字" * 134, "字" * 85),
        ("한" * 134, "한" * 64),  # four bytes each in GB18030
        ("字" * 84 + "abcdefgh", "字" * 84 + "abcd"),
        ("字" * 84 + "abc  z", "字" * 84 + "abc"),
        ("a" * 127 + "/b", "a" * 127),
    ],
)
def test_subject_is_cut_between_characters(text: str, subject: str) -> None:
    assert plain_subject(text) == subject


@given(
    text=st.text(max_size=300)
    | st.text(st.characters(categories=["Lo", "So", "Cc", "Cf", "Mn", "Zs"]), min_size=80, max_size=300)
)
def test_every_subject_is_one_that_alipay_takes(text: str) -> None:
    subject = plain_subject(text)
    assert subject == subject.strip() != ""
    assert not set(subject) & set("/=&")
    assert subject.isprintable()
    assert len(subject) <= 128
    for encoding in ("utf-8", "gb18030"):
        assert len(subject.encode(encoding)) <= 256
    assert plain_subject(subject) == subject


def test_refunds_reason_has_a_text_of_its_own() -> None:
    assert plain_subject("🙁", fallback="退款") == "退款"
