"""Other ways to sign and verify."""

from alipay import AliPay

from payments.gateways import alipay


def pycryptodome() -> None:
    """As the SDK does it by itself."""
    alipay._Client._sign = AliPay._sign
    alipay._Client.verify_text = AliPay._verify
