"""How Alipay writes."""

from urllib.parse import parse_qsl, quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.gateways.alipay.wire import MAX_FIELDS, read_form

# Bodies that are forms, that nearly are, and that are anything but.
_TEXT = st.text(max_size=6)
_PIECE = st.sampled_from(["a", "b", "=", "&", "+", "%", "%2", "%26", "%3d", "%25", "%00", "%ff", "%E8%AF%BE", "%E8%AF", ";", "\n"])
_FORM = st.lists(st.tuples(_TEXT, _TEXT, st.sampled_from([quote, quote_plus])), max_size=5).map(
    lambda fields: "&".join(f"{encode(name)}={encode(value)}" for name, value, encode in fields)
)


@given(body=_FORM | st.lists(_PIECE, max_size=12).map("".join))
def test_form_is_what_the_standard_library_finds(body: str) -> None:
    try:
        expected = parse_qsl(body, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        expected = []
    is_form = bool(expected) and len(dict(expected)) == len(expected) and not any("\x00" in value for _, value in expected)
    if is_form:
        assert list(read_form(body.encode()).items()) == expected
    else:
        with pytest.raises(ValueError, match=r"."):
            read_form(body.encode())
