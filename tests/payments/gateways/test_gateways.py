"""Which gateway is responsible for an attempt, a notification or a return."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pytest_django import Settings

from payments.errors import GatewayNotConfigured
from payments.gateways import ConfiguredGateways, find_gateways, get_gateways
from payments.gateways.alipay import AlipayGateway
from payments.gateways.alipay.keys import fingerprint
from payments.gateways.protocol import InvalidSignature, Notice
from payments.models import Payment
from tests.payments.alipay_side import APP_ID, SELLER_ID, encoded, key, make_gateway, paid_fields, signed_form

FORMER_APP, FOREIGN_APP = "2021000000000002", "2021000000009999"
FORMER_SELLER = "2088000000000002"
PAYMENT = Payment(pk=7, out_trade_no="20260302ABCP1", amount="100.11")


@dataclass
class Attempt:
    provider: str
    app_id: str


@pytest.fixture
def former() -> AlipayGateway:
    return make_gateway(
        app_id=FORMER_APP,
        seller_id=FORMER_SELLER,
        app_private_key=key("former app"),
        alipay_public_keys=[key("former alipay").public_key()],
    )


@pytest.fixture
def gateways(gateway: AlipayGateway, former: AlipayGateway) -> ConfiguredGateways:
    return ConfiguredGateways(gateway, former)


def notice_of(gateways: ConfiguredGateways, form: Mapping[str, str], provider: str = "alipay") -> Notice:
    return gateways.verify_notification(provider, {}, encoded(form).encode())


def told(app_id: str, *, signer: str) -> dict[str, str]:
    return signed_form(paid_fields(PAYMENT, app_id=app_id), signer=signer)


def name_of(signer: str) -> str:
    return fingerprint(key(signer).public_key())


# --- Attempts -----------------------------------------------------------------------------------------------


def test_attempt_keeps_the_app_that_it_was_made_with(
    gateways: ConfiguredGateways, gateway: AlipayGateway, former: AlipayGateway
) -> None:
    assert gateways.current is gateway
    assert gateways.gateway_for(Attempt("alipay", APP_ID)) is gateway
    assert gateways.gateway_for(Attempt("alipay", FORMER_APP)) is former


@pytest.mark.parametrize(("provider", "app_id"), [("alipay", FOREIGN_APP), ("other", APP_ID), ("alipay", "")])
def test_attempt_of_an_app_that_is_not_configured_has_no_gateway(
    gateways: ConfiguredGateways, provider: str, app_id: str
) -> None:
    with pytest.raises(GatewayNotConfigured) as refusal:
        gateways.gateway_for(Attempt(provider, app_id))
    assert refusal.value.details == {"provider": provider, "app_id": app_id}


# --- Notifications ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("app_id", "signer"), [(APP_ID, "alipay"), (FORMER_APP, "former alipay")])
def test_notification_is_verified_with_the_app_that_it_names(
    gateways: ConfiguredGateways, app_id: str, signer: str
) -> None:
    notice = notice_of(gateways, told(app_id, signer=signer))
    assert (notice.report.app_id, notice.verified_by) == (app_id, name_of(signer))


@pytest.mark.parametrize(
    ("app_id", "signer"), [(APP_ID, "former alipay"), (FORMER_APP, "alipay"), (FORMER_APP, "stranger")]
)
def test_key_of_another_app_proves_nothing(gateways: ConfiguredGateways, app_id: str, signer: str) -> None:
    with pytest.raises(InvalidSignature):
        notice_of(gateways, told(app_id, signer=signer))


def test_genuine_notification_for_an_unknown_app_is_passed_on_for_staff(
    gateways: ConfiguredGateways,
) -> None:
    assert notice_of(gateways, told(FOREIGN_APP, signer="alipay")).report.app_id == FOREIGN_APP
    for signer in ("stranger", "former alipay"):
        with pytest.raises(InvalidSignature):
            notice_of(gateways, told(FOREIGN_APP, signer=signer))


@pytest.mark.parametrize("body", [b"", b"hello", b"app_id=1&app_id=2", b"\xff", b"app_id=%ff"])
def test_body_that_is_not_a_form_is_refused(gateways: ConfiguredGateways, body: bytes) -> None:
    with pytest.raises(InvalidSignature):
        gateways.verify_notification("alipay", {}, body)


def test_notification_of_an_unconfigured_provider_is_refused(gateways: ConfiguredGateways) -> None:
    with pytest.raises(InvalidSignature):
        notice_of(gateways, told(APP_ID, signer="alipay"), "other")


# --- The way back -------------------------------------------------------------------------------------------


def coming_back(app_id: str, *, signer: str) -> dict[str, str]:
    fields = {
        "app_id": app_id,
        "seller_id": SELLER_ID,
        "out_trade_no": "20260302ABCP1",
        "total_amount": "100.11",
    }
    return signed_form(fields, signer=signer)


def test_return_is_verified_with_the_app_that_it_names(gateways: ConfiguredGateways) -> None:
    for app_id, signer in ((APP_ID, "alipay"), (FORMER_APP, "former alipay")):
        assert gateways.verify_return(coming_back(app_id, signer=signer)) == "20260302ABCP1"
    for app_id, signer in ((APP_ID, "former alipay"), (FORMER_APP, "alipay"), (FOREIGN_APP, "stranger")):
        with pytest.raises(InvalidSignature):
            gateways.verify_return(coming_back(app_id, signer=signer))


# --- Key rotation -------------------------------------------------------------------------------------------


def with_keys(*keys: RSAPublicKey) -> ConfiguredGateways:
    return ConfiguredGateways(make_gateway(alipay_public_keys=keys))


def test_rotation_of_alipays_key() -> None:
    """Both keys during Alipay's change, then only the new one.

    What the old key verified names it, and is unproven afterwards.
    """
    old, new = key("alipay").public_key(), key("new alipay").public_key()
    before, during, after = with_keys(old), with_keys(old, new), with_keys(new)
    by_old, by_new = told(APP_ID, signer="alipay"), told(APP_ID, signer="new alipay")
    assert notice_of(before, by_old).verified_by == name_of("alipay")
    assert notice_of(during, by_old).verified_by == name_of("alipay")
    assert (
        notice_of(during, by_new).verified_by == notice_of(after, by_new).verified_by == name_of("new alipay")
    )
    for gateways, form in ((before, by_new), (after, by_old)):
        with pytest.raises(InvalidSignature):
            notice_of(gateways, form)


def test_key_in_two_forms_is_one_key() -> None:
    """A second file with the same key changes nothing."""
    public = key("alipay").public_key()
    assert notice_of(with_keys(public, public), told(APP_ID, signer="alipay")).verified_by == name_of(
        "alipay"
    )


# --- Settings -----------------------------------------------------------------------------------------------


@pytest.fixture
def two_apps(alipay_settings: Settings, tmp_path: Path) -> Settings:
    (tmp_path / "former_app.pem").write_bytes(
        key("former app").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "former_alipay.pem").write_bytes(
        key("former alipay").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    app = {
        "APP_ID": FORMER_APP,
        "SELLER_ID": FORMER_SELLER,
        "APP_PRIVATE_KEY_PATH": str(tmp_path / "former_app.pem"),
        "PUBLIC_KEY_PATHS": [str(tmp_path / "former_alipay.pem")],
    }
    alipay_settings.ALIPAY = {**alipay_settings.ALIPAY, "FORMER_APPS": [app]}
    return alipay_settings


def test_gateways_from_settings(alipay_settings: Settings) -> None:
    gateways = get_gateways()
    current = gateways.current
    assert (current.name, current.app_id, current.seller_id) == ("alipay", APP_ID, SELLER_ID)
    assert get_gateways() is gateways
    assert find_gateways() is gateways


def test_former_apps_from_settings(two_apps: Settings) -> None:
    gateways = get_gateways()
    former = gateways.gateway_for(Attempt("alipay", FORMER_APP))
    assert (gateways.current.app_id, former.app_id, former.seller_id) == (APP_ID, FORMER_APP, FORMER_SELLER)
    assert [gateway.app_id for gateway in gateways.all] == [APP_ID, FORMER_APP]
    assert notice_of(gateways, told(FORMER_APP, signer="former alipay")).report.app_id == FORMER_APP


def test_missing_key_file_of_a_former_app(two_apps: Settings, tmp_path: Path) -> None:
    (tmp_path / "former_app.pem").unlink()
    with pytest.raises(GatewayNotConfigured) as refusal:
        get_gateways()
    assert refusal.value.details == {"missing": ["ALIPAY_FORMER_APPS"]}


@pytest.mark.parametrize(
    "name", ["GATEWAY_URL", "APP_ID", "SELLER_ID", "APP_PRIVATE_KEY_PATH", "PUBLIC_KEY_PATHS"]
)
def test_half_a_configuration_is_none(alipay_settings: Settings, name: str) -> None:
    alipay_settings.ALIPAY = {**alipay_settings.ALIPAY, name: ""}
    with pytest.raises(GatewayNotConfigured) as refusal:
        get_gateways()
    assert refusal.value.details == {"missing": [f"ALIPAY_{name}"]}
    assert find_gateways() is None


def test_missing_key_file(alipay_settings: Settings) -> None:
    alipay_settings.ALIPAY = {**alipay_settings.ALIPAY, "APP_PRIVATE_KEY_PATH": "/nowhere/app.pem"}
    with pytest.raises(GatewayNotConfigured):
        get_gateways()
