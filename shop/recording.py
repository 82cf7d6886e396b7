"""Starts recording spans, if the shop is configured to."""

from django.core.exceptions import ImproperlyConfigured


def start_recording(exporter: str) -> None:
    """Records spans from now on, unless `exporter` is "none".

    Raises:
        ImproperlyConfigured: OpenTelemetry isn't installed.
    """
    if exporter == "none":
        return
    try:
        from shop import telemetry  # noqa: PLC0415 - OpenTelemetry is optional
    except ImportError as error:
        raise ImproperlyConfigured(
            "OTEL_TRACES_EXPORTER needs the packages of requirements-otel.txt."
        ) from error
    telemetry.start(exporter)
