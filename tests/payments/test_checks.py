"""A wrong Alipay configuration is refused at the start."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pytest_django import Settings

from payments.checks import LIVE_HOST, SANDBOX_HOST, alipay, alipay_keys
from tests.payments.alipay_side import key
from worker.celery import refuse_mistakes_of_beat, refuse_mistakes_of_worker


def ids() -> list[str | None]:
    return [message.id for message in (*alipay(None), *alipay_keys(None))]


def configure(settings: Settings, **changes: object) -> None:
    settings.ALIPAY = {**settings.ALIPAY, **changes}


def test_whole_configuration_is_taken(alipay_settings: Settings) -> None:
    assert ids() == []


def test_none_is_a_warning(alipay_settings: Settings) -> None:
    configure(
        alipay_settings, GATEWAY_URL="", APP_ID="", SELLER_ID="", APP_PRIVATE_KEY_PATH="", PUBLIC_KEY_PATHS=[]
    )
    assert ids() == ["payments.W001"]


@pytest.mark.parametrize(
    "name", ["GATEWAY_URL", "APP_ID", "SELLER_ID", "APP_PRIVATE_KEY_PATH", "PUBLIC_KEY_PATHS"]
)
def test_half_of_it_is_refused(alipay_settings: Settings, name: str) -> None:
    configure(alipay_settings, **{name: ""})
    assert ids() == ["payments.E001"]


def test_key_that_cannot_be_read_is_refused(alipay_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_bytes(b"junk")
    for path in ("junk.pem", "absent.pem"):
        configure(alipay_settings, APP_PRIVATE_KEY_PATH=str(tmp_path / path))
        assert ids() == ["payments.E002"]


def test_beat_starts_without_key_files_and_a_worker_does_not(
    alipay_settings: Settings, tmp_path: Path
) -> None:
    alipay_settings.ALLOW_SIMULATOR = True
    configure(alipay_settings, APP_PRIVATE_KEY_PATH=str(tmp_path / "absent.pem"))
    refuse_mistakes_of_beat()
    with pytest.raises(SystemExit, match=r"absent\.pem"):
        refuse_mistakes_of_worker()


def test_own_public_key_in_place_of_alipays_is_refused(alipay_settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(key("app").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    configure(alipay_settings, PUBLIC_KEY_PATHS=[*alipay_settings.ALIPAY["PUBLIC_KEY_PATHS"], str(own)])
    assert ids() == ["payments.E003"]


# --- Former apps --------------------------------------------------------------------------------------------


def former_app(settings: Settings, folder: Path, **changes: object) -> dict[str, object]:
    (folder / "former_app.pem").write_bytes(
        key("former app").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    public = key("former alipay").public_key()
    (folder / "former_alipay.pem").write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    app = {
        "APP_ID": "2021000000000002",
        "SELLER_ID": "2088000000000001",
        "APP_PRIVATE_KEY_PATH": str(folder / "former_app.pem"),
        "PUBLIC_KEY_PATHS": [str(folder / "former_alipay.pem")],
    }
    return {**app, **changes}


def test_whole_former_app_is_taken(alipay_settings: Settings, tmp_path: Path) -> None:
    configure(alipay_settings, FORMER_APPS=[former_app(alipay_settings, tmp_path)])
    assert ids() == []


@pytest.mark.parametrize("name", ["APP_PRIVATE_KEY_PATH", "PUBLIC_KEY_PATHS"])
def test_former_apps_key_that_cannot_be_read_is_refused_by_name(
    alipay_settings: Settings, tmp_path: Path, name: str
) -> None:
    absent = str(tmp_path / "absent.pem")
    configure(
        alipay_settings,
        FORMER_APPS=[
            former_app(alipay_settings, tmp_path, **{name: absent if "PRIVATE" in name else [absent]})
        ],
    )
    [message] = alipay_keys(None)
    assert (message.id, "app 2021000000000002" in message.msg) == ("payments.E002", True)


def test_former_apps_own_public_key_in_place_of_alipays_is_refused(
    alipay_settings: Settings, tmp_path: Path
) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(
        key("former app").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    configure(
        alipay_settings, FORMER_APPS=[former_app(alipay_settings, tmp_path, PUBLIC_KEY_PATHS=[str(own)])]
    )
    [message] = alipay_keys(None)
    assert (message.id, "app 2021000000000002" in message.msg) == ("payments.E003", True)


@pytest.mark.parametrize("app_id", ["2021000000000001", "2021000000000002"])
def test_app_that_is_configured_twice_is_refused(
    alipay_settings: Settings, tmp_path: Path, app_id: str
) -> None:
    """As the current and a former one, or as two former ones: it would be undefined which keys count."""
    second = former_app(alipay_settings, tmp_path, APP_ID="2021000000000002")
    configure(alipay_settings, FORMER_APPS=[second, former_app(alipay_settings, tmp_path, APP_ID=app_id)])
    [message] = alipay(None)
    assert (message.id, app_id in message.msg) == ("payments.E006", True)


def test_former_apps_without_a_current_one_are_half_a_configuration(
    alipay_settings: Settings, tmp_path: Path
) -> None:
    app = former_app(alipay_settings, tmp_path)
    configure(
        alipay_settings,
        GATEWAY_URL="",
        APP_ID="",
        SELLER_ID="",
        APP_PRIVATE_KEY_PATH="",
        PUBLIC_KEY_PATHS=[],
        FORMER_APPS=[app],
    )
    assert ids() == ["payments.E001"]


def test_former_app_of_the_sandbox_beside_a_live_one(alipay_settings: Settings, tmp_path: Path) -> None:
    alipay_settings.PUBLIC_URL = "https://shop.test"
    app = former_app(alipay_settings, tmp_path, APP_ID="9021000000000001")
    configure(alipay_settings, GATEWAY_URL=f"https://{LIVE_HOST}/gateway.do", FORMER_APPS=[app])
    assert ids() == ["payments.W002"]


# --- Addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "app_id"), [(LIVE_HOST, "9021000000000001"), (SANDBOX_HOST, "2021000000000001")]
)
def test_sandbox_and_live_mixed_up(alipay_settings: Settings, host: str, app_id: str) -> None:
    alipay_settings.PUBLIC_URL = "https://shop.test"
    configure(alipay_settings, GATEWAY_URL=f"https://{host}/gateway.do", APP_ID=app_id)
    assert ids() == ["payments.W002"]


def test_live_needs_https(alipay_settings: Settings) -> None:
    alipay_settings.PUBLIC_URL = "http://shop.test"
    configure(alipay_settings, GATEWAY_URL=f"https://{LIVE_HOST}/gateway.do")
    assert ids() == ["payments.E004"]


@pytest.mark.parametrize("name", ["NOTIFY_URL", "RETURN_URL"])
@pytest.mark.parametrize(
    "url",
    ["", "shop.test/notify/", "ftp://shop.test/", "https://shop.test/?a=1", "https://shop.test/" + "x" * 256],
)
def test_address_that_alipay_cannot_use(alipay_settings: Settings, name: str, url: str) -> None:
    configure(alipay_settings, **{name: url})
    assert ids() == ["payments.E005"]
