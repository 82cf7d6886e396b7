"""Payments' part of the site."""

from django.urls import path

from payments.api import notify, pay

api_urlpatterns = [
    path("payments/alipay/notify/", notify.alipay_notify, name="alipay-notify"),
    path("payments/alipay/return/", notify.alipay_return, name="alipay-return"),
]
urlpatterns = [path("pay/<str:token>/", pay.pay, name="pay")]
