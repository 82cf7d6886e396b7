from payments.models.notification import Notification
from payments.models.payment import Payment
from payments.models.refund import Refund, RefundLine

__all__ = ["Notification", "Payment", "Refund", "RefundLine"]
