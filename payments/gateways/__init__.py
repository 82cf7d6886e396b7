"""Payment gateways behind one small protocol, one package per provider."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from payments.errors import GatewayNotConfigured
from payments.gateways import alipay
from payments.gateways.call_limits import CallLimits
from payments.gateways.protocol import Attempt, Gateway, InvalidSignature, Notice


class ConfiguredGateways:
    """See `payments.gateways.protocol.Gateways`.

    An attempt keeps the app that it was made with, even after the shop has switched to another one.
    """

    def __init__(self, current: Gateway, *former: Gateway, limits: CallLimits | None = None) -> None:
        self.limits = limits or CallLimits()
        self.current = current
        self.all = (current, *former)
        self._by_app = {(gateway.name, gateway.app_id): gateway for gateway in reversed(self.all)}

    def free(self, wanted: int) -> int:
        return self.limits.free(wanted)

    def is_silent(self) -> bool:
        return self.limits.breaker.is_open

    def gateway_for(self, attempt: Attempt) -> Gateway:
        return self._get(attempt.provider, attempt.app_id)

    def verify_notification(self, provider: str, headers: Mapping[str, str], body: bytes) -> Notice:
        if provider != self.current.name:
            raise InvalidSignature("a provider that isn't configured")
        if len(self._by_app) == 1:
            return self.current.verify_notification(headers, body)
        return self._claimed(alipay.find_claimed_app(body)).verify_notification(headers, body)

    def verify_return(self, form: Mapping[str, str]) -> str:
        """As `Gateway.verify_return`, with the credentials of the app that the form names.

        Raises:
            InvalidSignature
        """
        return self._claimed(form.get("app_id")).verify_return(form)

    def _claimed(self, app_id: str | None) -> Gateway:
        """The gateway of the app that a message claims to be for.

        A message for an unknown app is verified with the current app's keys: if Alipay signed it, staff
        should see it.
        """
        return self._by_app.get((self.current.name, app_id or ""), self.current)

    def _get(self, provider: str, app_id: str) -> Gateway:
        gateway = self._by_app.get((provider, app_id))
        if gateway is None:
            raise GatewayNotConfigured(provider=provider, app_id=app_id)
        return gateway


@cache
def get_gateways() -> ConfiguredGateways:
    """The configured gateways. Built once per process, since reading the keys takes tens of milliseconds.

    Raises:
        GatewayNotConfigured: a setting is missing, or a key file can't be read.
    """
    limits = CallLimits(**_bounds)
    return ConfiguredGateways(
        *[alipay.AlipayGateway(config, limits) for config in alipay.read_configs()], limits=limits
    )


_bounds: dict[str, Any] = {}


def bound_calls(*, places: int | None = None, rate: float | None = None) -> None:
    """Limits this process to `places` concurrent gateway calls and to `rate` calls per second; None is no
    limit.

    For the entry points of processes, before the first gateway call.
    """
    _bounds.update(places=places, rate=rate)


def find_gateways() -> ConfiguredGateways | None:
    """The configured gateways; None without one, so that orders without a payment still work."""
    try:
        return get_gateways()
    except GatewayNotConfigured:
        return None
