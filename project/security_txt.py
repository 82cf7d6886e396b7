"""Where people report vulnerabilities: /.well-known/security.txt, RFC 9116."""

from datetime import timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from shop import clock

# The file must have an expiry, so that nobody writes to an address that is long dead; a running shop renews
# it with each response.
_VALID_FOR = timedelta(days=90)


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """404 unless the settings name a contact."""
    if not settings.SECURITY_CONTACT:
        raise Http404
    expires = (clock.now() + _VALID_FOR).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = [
        f"Contact: {settings.SECURITY_CONTACT}",
        f"Expires: {expires}",
        "Preferred-Languages: zh, en",
        f"Canonical: {settings.PUBLIC_URL}/.well-known/security.txt",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
