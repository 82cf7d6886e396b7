"""The shop's part of `/api/v1/`."""

from django.urls import path

# converters and fieldschemas register themselves.
from shop.api import (  # noqa: F401
    accounts,
    auth,
    cart,
    catalogue,
    checkout,
    converters,
    coupons,
    enrolments,
    fieldschemas,
    orders,
    polls,
)

urlpatterns = [
    # The busiest first: Django tries the patterns in this order.
    path("orders/", orders.OrderListView.as_view(), name="orders"),
    path("orders/<number:order_number>/", polls.OrderView.as_view(), name="order"),
    path("orders/<number:order_number>/again/", checkout.BuyAgainView.as_view(), name="buy-again"),
    path("auth/login/", auth.LoginView.as_view(), name="login"),
    path("auth/logout/", auth.LogoutView.as_view(), name="logout"),
    path("auth/logout/everywhere/", auth.LogoutEverywhereView.as_view(), name="logout-everywhere"),
    path("auth/register/", accounts.RegisterView.as_view(), name="register"),
    path("auth/password/", accounts.PasswordView.as_view(), name="password"),
    path("auth/profile/", accounts.ProfileView.as_view(), name="profile"),
    path("categories/", catalogue.CategoryListView.as_view(), name="categories"),
    path("courses/", catalogue.CourseListView.as_view(), name="courses"),
    path("courses/<id:course_id>/", catalogue.CourseView.as_view(), name="course"),
    path("coupons/", coupons.CampaignListView.as_view(), name="coupons"),
    path("coupons/mine/", coupons.MyCouponListView.as_view(), name="my-coupons"),
    path("coupons/redeem/", coupons.RedeemView.as_view(), name="redeem-code"),
    path("coupons/<id:coupon_id>/claim/", coupons.ClaimView.as_view(), name="claim-coupon"),
    path("cart/", cart.CartView.as_view(), name="cart"),
    path("cart/<id:course_id>/", cart.CartLineView.as_view(), name="cart-line"),
    path("checkout/", checkout.CheckoutStartView.as_view(), name="checkouts"),
    path("checkout/<number:checkout_id>/", checkout.CheckoutView.as_view(), name="checkout"),
    path("checkout/<number:checkout_id>/quote/", checkout.CheckoutQuoteView.as_view(), name="checkout-quote"),
    path("enrolments/", enrolments.EnrolmentListView.as_view(), name="enrolments"),
    path("balance/", enrolments.BalanceView.as_view(), name="balance"),
]
