"""`If-None-Match` as RFC 9110 (13.1.2) defines it: weak comparison, with a list of tags or `*`."""

from django.utils.http import parse_etags


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether the client already has the representation that `etag` names.

    A proxy that compresses weakens the tag, so `W/"x"` matches `"x"`.
    """
    if not if_none_match:
        return False
    if if_none_match == etag:
        return True
    tags = [tag.removeprefix("W/") for tag in parse_etags(if_none_match)]
    return "*" in tags or etag in tags
