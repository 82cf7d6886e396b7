"""Proves the Alipay configuration: a query of an order that can't exist must come back, signed, as "there is no such trade"."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payments.gateways import get_gateways
from payments.gateways.protocol import GatewayError
from shop import clock
from shop.errors import GatewayNotConfigured
from shop.numbers import mint_number


class Command(BaseCommand):
    help = "Asks Alipay about a trade that doesn't exist. Proves address, app id and both keys; moves no money."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            gateway = get_gateways().current
        except GatewayNotConfigured as error:
            raise CommandError(f"Alipay isn't configured: {', '.join(error.details['missing'])}") from error
        try:
            report = gateway.query(f"CHECK{mint_number(clock.now())}")
        except GatewayError as error:
            raise CommandError(
                f"Alipay's answer doesn't prove the configuration: {error}\n"
                "isv.invalid-app-id: the app id isn't this gateway's. isv.invalid-signature: the private key isn't the app's.\n"
                "A wrong signature: ALIPAY_PUBLIC_KEY_PATHS isn't Alipay's key (支付宝公钥)."
            ) from error
        if report is not None:
            raise CommandError("Alipay knows a trade that can't exist.")
        self.stdout.write(self.style.SUCCESS(f"Alipay answers app {gateway.app_id} (ACQ.TRADE_NOT_EXIST), signatures prove both ways."))
