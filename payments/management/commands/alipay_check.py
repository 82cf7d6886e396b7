"""Verifies the Alipay configuration: a query for an order that can't exist must be answered, signed, with "no
such trade".
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payments.domain import credentials
from payments.domain.credentials import MissingApp
from payments.errors import GatewayNotConfigured
from payments.gateways import ConfiguredGateways, get_gateways
from payments.gateways.protocol import Gateway, GatewayError
from shop import clock
from shop.numbers import mint_number

_HINT = (
    "isv.invalid-app-id: the app id isn't this gateway's. isv.invalid-signature: the private key isn't the "
    "app's.\n"
    "A wrong signature: the public key isn't Alipay's for this app (支付宝公钥)."
)


class Command(BaseCommand):
    help = (
        "Asks Alipay about a trade that doesn't exist, once with each configured app. Proves address, app "
        "ids and all keys, and names the apps"
        " that payments still need and that aren't configured. Moves no money."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            gateways = get_gateways()
        except GatewayNotConfigured as error:
            raise CommandError(f"Alipay isn't configured: {', '.join(error.details['missing'])}") from error
        failures = [*self._prove(gateways), *self._look_for_missing_apps(gateways)]
        if failures:
            raise CommandError("\n".join(failures))

    def _prove(self, gateways: ConfiguredGateways) -> list[str]:
        failures = []
        for gateway in gateways.all:
            failure = _find_failure(gateway)
            if failure is None:
                self.stdout.write(
                    self.style.SUCCESS(
                        f"Alipay answers app {gateway.app_id} (ACQ.TRADE_NOT_EXIST), signatures prove "
                        f"both ways."
                    )
                )
            else:
                failures.append(
                    f"app {gateway.app_id}: Alipay's answer doesn't prove the configuration: {failure}"
                )
        return [*failures, _HINT] if failures else []

    def _look_for_missing_apps(self, gateways: ConfiguredGateways) -> list[str]:
        failures = []
        for app in credentials.list_missing_apps(
            configured={(gateway.name, gateway.app_id) for gateway in gateways.all}
        ):
            if app.open_count:
                failures.append(
                    f"{_count(app.open_count, 'payment', app)} can't be asked about or closed. "
                    f"ALIPAY_FORMER_APPS must name it."
                )
            if app.refundable_count:
                self.stdout.write(
                    self.style.WARNING(
                        f"{_count(app.refundable_count, 'paid payment', app)} can't be refunded from here."
                    )
                )
        return failures


def _find_failure(gateway: Gateway) -> str | None:
    try:
        report = gateway.query(f"CHECK{mint_number(clock.now())}")
    except GatewayError as error:
        return str(error)
    return None if report is None else "it knows a trade that can't exist"


def _count(count: int, noun: str, app: MissingApp) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'} of {app.provider} app {app.app_id}"
