from payments.models.bill import Bill, BillDifference, BillEntry
from payments.models.notification import Notification
from payments.models.payment import Payment
from payments.models.refund import Refund, RefundLine

__all__ = ["Bill", "BillDifference", "BillEntry", "Notification", "Payment", "Refund", "RefundLine"]
