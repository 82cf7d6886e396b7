"""The URLs of payments."""

from django.urls import path

from payments.api import notify, orders, pay
from shop.api import converters  # noqa: F401 - registers itself

# Called by Alipay.
alipay_urlpatterns = [
    path("notify/", notify.alipay_notify, name="alipay-notify"),
    path("return/", notify.alipay_return, name="alipay-return"),
]
api_urlpatterns = [
    path("orders/<number:order_number>/payments/", orders.OrderPaymentsView.as_view(), name="order-payments"),
    path("orders/<number:order_number>/cancel/", orders.OrderCancelView.as_view(), name="order-cancel"),
    path(
        "orders/<number:order_number>/refunds/quote/",
        orders.OrderRefundQuoteView.as_view(),
        name="order-refund-quote",
    ),
    path("orders/<number:order_number>/refunds/", orders.OrderRefundsView.as_view(), name="order-refunds"),
]
urlpatterns = [path("pay/<str:token>/", pay.pay, name="pay")]
