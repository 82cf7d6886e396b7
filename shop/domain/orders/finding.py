"""Finding a buyer's order by its number, and saying why there is none."""

from shop.errors import DomainError, OrderNotFound, OrderPending, OrderRejected
from shop.models import Order, OrderRequest
from shop.states import OrderRequestStatus


def get_order(*, account_id: int, order_number: str) -> Order:
    """The buyer's order.

    Raises:
        OrderNotFound: missing, or another account's.
        OrderPending, OrderRejected: the request of this number isn't an order yet, or never became one.
    """
    order = Order.objects.filter(account_id=account_id, order_number=order_number).first()
    if order is None:
        raise missing_order(account_id=account_id, order_number=order_number)
    return order


def missing_order(*, account_id: int, order_number: str) -> DomainError:
    """Why the buyer has no order of this number, as the error to raise."""
    request = OrderRequest.objects.filter(account_id=account_id, order_number=order_number).first()
    if request is None:
        return OrderNotFound()
    if request.status == OrderRequestStatus.REJECTED:
        return OrderRejected(reason=request.error_slug, why=request.error_message)
    # One that a worker has just made into an order is found by the next attempt.
    return OrderPending()
