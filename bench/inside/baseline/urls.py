"""The one address of the baseline, and those that an order's body names."""

from baseline.views import SynchronousOrderView
from django.urls import include, path

urlpatterns = [
    path("synchronous/orders/", SynchronousOrderView.as_view()),
    path("", include("project.urls")),
]
