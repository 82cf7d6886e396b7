"""The buyer's pages."""

from django.urls import path

from shop.storefront import catalogue, passwords, views

app_name = "storefront"
urlpatterns = [
    path("", catalogue.courses, name="courses"),
    path("categories/<int:category_id>/", catalogue.category, name="category"),
    path("courses/<int:course_id>/", catalogue.course, name="course"),
    path("login/", views.login, name="login"),
    path("register/", views.register, name="register"),
    path("password/reset/", passwords.ResetView.as_view(), name="password-reset"),
    path("password/reset/done/", passwords.ResetDoneView.as_view(), name="password-reset-done"),
    path("password/reset/complete/", passwords.ResetCompleteView.as_view(), name="password-reset-complete"),
    path(
        "password/reset/<str:uidb64>/<str:token>/",
        passwords.ResetConfirmView.as_view(),
        name="password-reset-confirm",
    ),
    path("cart/", views.cart, name="cart"),
    path("checkout/", views.checkout, name="latest-checkout"),
    path("checkout/<slug:checkout_id>/", views.checkout, name="checkout"),
    path("orders/", views.orders, name="orders"),
    path("orders/<slug:order_number>/", views.order, name="order"),
    path("coupons/", views.coupons, name="coupons"),
    path("me/", views.me, name="me"),
    path("me/account/", views.account, name="account"),
]
