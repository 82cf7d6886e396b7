"""`DATABASE_URL` as Django gets it."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from project.postgres.address import NETWORK, database_config


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://shop:p%2Fw@db:5433/shop", {"HOST": "db", "PORT": 5433, "USER": "shop", "PASSWORD": "p/w", "NAME": "shop"}),
        ("postgres://shop:pw@a,b:5433/shop", {"HOST": "a,b", "PORT": "5432,5433", "USER": "shop", "PASSWORD": "pw", "NAME": "shop"}),
        ("postgresql://a:1,[::1]:2/shop", {"HOST": "a,::1", "PORT": "1,2", "USER": "", "NAME": "shop"}),
        ("postgres:///shop?host=a,b&port=1,2", {"HOST": "", "NAME": "shop"}),
        ("postgres://%2Frun%2Fpostgresql/shop", {"HOST": "/run/postgresql", "PORT": ""}),
    ],
)
def test_hosts(url: str, expected: dict[str, object]) -> None:
    config = database_config(url, pooler="")
    assert {name: config[name] for name in expected} == expected
    is_several = "," in url
    assert config["OPTIONS"].get("target_session_attrs") == ("read-write" if is_several else None)


def test_network_defaults_and_what_goes_before_them() -> None:
    options = database_config("postgres://h/shop?connect_timeout=9&keepalives_idle=60&options=-c work_mem=8MB", pooler="")["OPTIONS"]
    assert options["connect_timeout"] == 9
    assert options["keepalives_idle"] == 60
    assert options["tcp_user_timeout"] == NETWORK["tcp_user_timeout"]
    assert options["options"].startswith("-c work_mem=8MB -c lock_timeout=2s")


@pytest.mark.parametrize(("pooler", "has_options"), [("", True), ("session", False), ("transaction", False)])
def test_time_outs_go_with_the_start_only_without_a_pooler(pooler: str, has_options: bool) -> None:
    config = database_config("postgres://h/shop", pooler=pooler)
    assert ("options" in config["OPTIONS"]) is has_options
    assert config["DISABLE_SERVER_SIDE_CURSORS"] is (pooler == "transaction")


@pytest.mark.parametrize(
    ("url", "told"),
    [("sqlite:///x.db", "must name a PostgreSQL database"), ("h:5432/shop", "must name a PostgreSQL"), ("postgres://u:se/cret@h/x", "%2F")],
)
def test_what_is_not_understood_is_refused_without_the_password(url: str, told: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=told) as caught:
        database_config(url, pooler="")
    assert "cret" not in str(caught.value)
