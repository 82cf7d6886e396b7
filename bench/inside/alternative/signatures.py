"""Other ways to sign and verify."""

from alipay import AliPay

from payments.gateways.alipay.client import AlipayClient


def pycryptodome() -> None:
    """As the SDK does it by itself."""
    AlipayClient._sign = AliPay._sign
    AlipayClient.find_signing_key = lambda client, text, signature: "the SDK's" if AliPay._verify(client, text, signature) else None
