"""The walk needs a shop that is configured for Alipay."""

from tests.payments.conftest import alipay_settings

__all__ = ["alipay_settings"]
