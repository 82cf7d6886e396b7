"""The order's `pay_url`: a stable, signed link of our own. `payments` serves it; here is only its form."""

from django.conf import settings
from django.core.signing import BadSignature, Signer

from shop.errors import OrderNotFound

_SIGNER = "shop.paylinks"


def pay_url(order_number: str) -> str:
    """The link for an order. Whoever has it may pay the order, and do nothing else with it."""
    return f"{settings.PUBLIC_URL}/pay/{Signer(salt=_SIGNER).sign(order_number)}/"


def read_pay_token(token: str) -> str:
    """The order number of a link's last part.

    Raises:
        OrderNotFound: we didn't sign it.
    """
    try:
        return Signer(salt=_SIGNER).unsign(token)
    except BadSignature as error:
        raise OrderNotFound from error
