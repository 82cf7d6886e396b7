"""A notification in its wire format, with faults applied."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from payments.simulator.faults import Fault
from payments.simulator.keys import KeyFolder
from payments.simulator.protocol import CHARSETS
from payments.simulator.signing import encode_form, form_content, sign

# Malformed, but this is what Alipay sends.
CONTENT_TYPE = "application/x-www-form-urlencoded; text/html; charset={charset}"


@dataclass
class Draft:
    """The fields to sign, and how; `after` holds changes made after signing."""

    fields: dict[str, str]
    sign_type: str = "RSA2"
    has_sign_type: bool = True
    is_sha1: bool = False
    is_by_stranger: bool = False
    is_json: bool = False
    charset: str = "utf-8"
    after: list[Callable[[dict[str, str]], dict[str, str]]] = field(default_factory=list)


@dataclass(frozen=True)
class Message:
    """Ready to send."""

    content_type: str
    body: bytes


def compose(keys: KeyFolder, fields: Mapping[str, str], faults: list[Fault]) -> Message:
    """Applies the faults to a delivery's fields and signs them."""
    draft = Draft(dict(fields), charset=CHARSETS.get(fields.get("charset", "").lower(), "utf-8"))
    for fault in faults:
        if fault.kind in MUTATIONS:
            MUTATIONS[fault.kind](draft, fault.params)
    sent = {name: value for name, value in draft.fields.items() if value != ""}
    key = keys.stranger_private if draft.is_by_stranger else keys.alipay_private
    signature = sign(key, form_content(sent), charset=draft.charset, sha1=draft.is_sha1)
    if draft.has_sign_type:
        sent["sign_type"] = draft.sign_type
    sent["sign"] = signature
    for change in draft.after:
        sent = change(sent)
    if draft.is_json:
        return Message("application/json;charset=utf-8", json.dumps(sent, ensure_ascii=False).encode())
    label = "UTF-8" if draft.charset == "utf-8" else "GBK"
    return Message(CONTENT_TYPE.format(charset=label), encode_form(sent, draft.charset).encode("ascii"))


def _change(draft: Draft, params: dict[str, Any]) -> None:
    draft.fields |= {name: str(value) for name, value in params["fields"].items()}


def _tamper(draft: Draft, params: dict[str, Any]) -> None:
    changes = {name: str(value) for name, value in params["fields"].items()}
    draft.after.append(lambda sent: {**sent, **changes})


def _unknown_order(draft: Draft, params: dict[str, Any]) -> None:
    draft.fields["out_trade_no"] = "UNKNOWN" + draft.fields.get("out_trade_no", "")[-24:]


def _sha1(draft: Draft, params: dict[str, Any]) -> None:
    draft.is_sha1 = True


def _sign_type_rsa(draft: Draft, params: dict[str, Any]) -> None:
    draft.sign_type, draft.is_sha1 = "RSA", True


def _sign_type_missing(draft: Draft, params: dict[str, Any]) -> None:
    draft.has_sign_type = False


def _wrong_key(draft: Draft, params: dict[str, Any]) -> None:
    draft.is_by_stranger = True


def _json_body(draft: Draft, params: dict[str, Any]) -> None:
    draft.is_json = True


def _gbk(draft: Draft, params: dict[str, Any]) -> None:
    draft.charset = "gbk"
    draft.fields["charset"] = "GBK"


def _merged_fields(draft: Draft, params: dict[str, Any]) -> None:
    """Merges the next field in signing order into this one's value. The signed text is the same, so the
    signature stays valid.
    """

    def merge(sent: dict[str, str]) -> dict[str, str]:
        names = sorted(name for name in sent if name not in {"sign", "sign_type"})
        into = params["into"]
        if into not in names or into == names[-1]:
            return sent
        following = names[names.index(into) + 1]
        merged = {name: value for name, value in sent.items() if name != following}
        merged[into] = f"{sent[into]}&{following}={sent[following]}"
        return merged

    draft.after.append(merge)


MUTATIONS: dict[str, Callable[[Draft, dict[str, Any]], None]] = {
    "change": _change,
    "extra_fields": _change,
    "tamper": _tamper,
    "unknown_order": _unknown_order,
    "sha1": _sha1,
    "sign_type_rsa": _sign_type_rsa,
    "sign_type_missing": _sign_type_missing,
    "wrong_key": _wrong_key,
    "json_body": _json_body,
    "gbk": _gbk,
    "merged_fields": _merged_fields,
}
