"""`If-None-Match`, compared as RFC 9110 (13.1.2) says: weakly, against a list, or against anything."""

from django.utils.http import parse_etags


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has what `etag` names.

    A proxy that compresses weakens tags: `W/"x"` is known as `"x"`.
    """
    if not if_none_match:
        return False
    if if_none_match == etag:
        return True
    tags = [tag.removeprefix("W/") for tag in parse_etags(if_none_match)]
    return "*" in tags or etag in tags
