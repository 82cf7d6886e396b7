from shop.models.account import Account
from shop.models.catalogue import Category, Course, PricePolicy
from shop.models.coupon import Coupon, CouponCode, CouponRecord
from shop.models.enrolment import Enrolment
from shop.models.ledger import LedgerTransfer
from shop.models.measurement import Measurement
from shop.models.order import Order, OrderLine
from shop.models.order_event import OrderEvent
from shop.models.order_request import OrderRequest
from shop.models.turn import Turn
from shop.models.work import Work

__all__ = [
    "Account",
    "Category",
    "Coupon",
    "CouponCode",
    "CouponRecord",
    "Course",
    "Enrolment",
    "LedgerTransfer",
    "Measurement",
    "Order",
    "OrderEvent",
    "OrderLine",
    "OrderRequest",
    "PricePolicy",
    "Turn",
    "Work",
]
