"""Addresses of servers: valid ones are parsed, and invalid ones are refused by name."""

import re

import pytest

from shop import broker_address, redis_address


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://127.0.0.1:6380/3", {"hosts": (("127.0.0.1", 6380),), "database": 3}),
        (
            "redis://shop:p%2Fw@[::1]",
            {"hosts": (("::1", 6379),), "username": "shop", "password": "p/w", "database": 0},
        ),
        (
            "rediss://h/1?ssl_ca_certs=/ca&ssl_cert_reqs=required",
            {"is_tls": True, "tls_files": (("ssl_ca_certs", "/ca"),), "database": 1},
        ),
        (
            "unix://:pw@/run/valkey.sock?db=2",
            {"path": "/run/valkey.sock", "password": "pw", "database": 2, "hosts": ()},
        ),
        (
            "sentinel://:pw@a:26380;sentinel://b/2?master_name=carts&sentinel_password=s",
            {
                "hosts": (("a", 26380), ("b", 26379)),
                "password": "pw",
                "database": 2,
                "master_name": "carts",
                "sentinel_login": (("password", "s"),),
                "is_tls": False,
            },
        ),
        (
            "sentinels://a/1?master_name=q&ssl_ca_certs=/ca",
            {"is_tls": True, "master_name": "q", "database": 1},
        ),
    ],
)
def test_an_address_is_understood(url: str, expected: dict[str, object]) -> None:
    address = redis_address.parse(url)
    assert {name: getattr(address, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "the scheme must be one of"),
        ("localhost:6379/0", "the scheme must be one of"),
        ("memory://", "not 'memory'"),
        ("redis+cluster://a", "not 'redis+cluster'"),
        ("redis+socket:///run/x", "not 'redis+socket'"),
        ("redis://a,b/0", "several hosts are separated by ';'"),
        ("redis://a;redis://b", "only sentinel:// names several"),
        ("sentinel://a;b?master_name=q", "only sentinel:// names several"),
        ("sentinel://a/0", "master_name="),
        ("sentinel://a/0;sentinel://b/1?master_name=q", "different values for the database"),
        ("sentinel://:x@a;sentinel://:y@b?master_name=q", "different values for the password"),
        ("redis://", "a host is missing"),
        ("redis://h/one", "the database must be a number"),
        ("redis://h/0?master_name=q", "the parameter master_name isn't known with redis://"),
        ("redis://h/0?ssl_cert_reqs=required", "the parameter ssl_cert_reqs isn't known with redis://"),
        ("rediss://h/0?ssl_cert_reqs=none", "ssl_cert_reqs must not turn off"),
        ("rediss://h/0?ssl_cert_reqs=CERT_OPTIONAL", "ssl_cert_reqs must not turn off"),
        ("rediss://h/0?ssl_check_hostname=false", "ssl_check_hostname must not turn off"),
        ("rediss://h/0?ssl_cert_req=required", "the parameter ssl_cert_req isn't known"),
        ("unix://", "absolute path"),
        ("unix:///run/x?db=a", "the database must be a number"),
    ],
)
def test_an_address_is_refused_with_its_reason(url: str, told: str) -> None:
    for parse in (redis_address.parse, broker_address.parse):
        with pytest.raises(ValueError, match=re.escape(told)):
            parse(url)


@pytest.mark.parametrize(
    "url", ["redis://:se/cret@h:6379/0", "redis://:1234#secret@h/0", "amqp://shop:se/cret@h:5672//"]
)
def test_a_refusal_never_shows_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="%2F") as caught:
        broker_address.parse(url)
    assert "cret" not in str(caught.value)
    assert "1234" not in str(caught.value)


def test_an_address_never_shows_the_password() -> None:
    for url in (
        "redis://:secret@h/0",
        "sentinel://:secret@h/0?master_name=q&sentinel_password=secret",
        "amqp://shop:secret@h//",
    ):
        assert "secret" not in repr(broker_address.parse(url))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://shop:p%2Fw@h:6380/3", "redis://shop:p%2Fw@h:6380/3"),
        ("redis://[::1]/3", "redis://[::1]:6379/3"),
        ("unix://:pw@/run/valkey.sock?db=2", "redis+socket://:pw@/run/valkey.sock?virtual_host=2"),
        ("sentinel://a:1;sentinel://:pw@b:2/3?master_name=q", "sentinel://:pw@a:1/3;sentinel://:pw@b:2/3"),
        ("amqp://shop:pw@a:5672//;amqp://shop:pw@b//", "amqp://shop:pw@a:5672//;amqp://shop:pw@b//"),
        ("amqps://shop:pw@a//?ssl_ca_certs=/ca", "amqps://shop:pw@a//"),
    ],
)
def test_address_becomes_celerys_settings(url: str, expected: str) -> None:
    assert broker_address.parse(url).url == expected


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("amqps://a//?ssl_cert_reqs=none", "ssl_cert_reqs must not turn off"),
        ("amqps://a//;amqps://b//", "amqps:// takes one name"),
        ("amqp://a//;redis://b", "named in full"),
        ("amqp://a//?heartbeat=9", "the parameter heartbeat isn't known with amqp://"),
        ("amqp://", "a host is missing"),
    ],
)
def test_an_address_of_rabbitmq_is_refused_with_its_reason(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        broker_address.parse(url)
