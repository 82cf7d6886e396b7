"""The one address of the baseline, and those that an order's body names."""

from django.urls import include, path

from baseline.views import SynchronousOrderView

urlpatterns = [
    path("synchronous/orders/", SynchronousOrderView.as_view()),
    path("", include("project.urls")),
]
