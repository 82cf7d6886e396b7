"""All URLs of the web process."""

from django.contrib import admin
from django.urls import include, path

from payments.api import urls as payment_urls
from project import health, scrape, security_txt
from project.api.schemaview import DocsView, SchemaView
from project.language import choose_language

admin.autodiscover()

urlpatterns = [
    # Before the longest list: every payment causes a notification, and other requests lose only one
    # comparison.
    path("api/v1/payments/alipay/", include(payment_urls.alipay_urlpatterns)),
    path("api/v1/", include("shop.api.urls")),
    path("api/v1/", include(payment_urls.api_urlpatterns)),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", scrape.metrics),
    path(".well-known/security.txt", security_txt.show),
    path("admin/", admin.site.urls),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(), name="docs"),
    path("language/", choose_language, name="set-language"),
    path("", include(payment_urls.urlpatterns)),
    path("", include("shop.storefront.urls")),
]

handler400 = "project.api.errors.bad_request"
handler403 = "project.api.errors.permission_denied"
handler404 = "project.api.errors.not_found"
handler500 = "project.api.errors.server_error"
