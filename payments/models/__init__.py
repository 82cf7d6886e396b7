from payments.models.notification import Notification
from payments.models.payment import Payment

__all__ = ["Notification", "Payment"]
