"""`DATABASE_URL` as Django gets it."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from project.postgres.address import NETWORK, database_config


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgres://shop:p%2Fw@db:5433/shop",
            {"HOST": "db", "PORT": 5433, "USER": "shop", "PASSWORD": "p/w", "NAME": "shop"},
        ),
        (
            "postgres://shop:pw@a,b:5433/shop",
            {"HOST": "a,b", "PORT": "5432,5433", "USER": "shop", "PASSWORD": "pw", "NAME": "shop"},
        ),
        ("postgresql://a:1,[::1]:2/shop", {"HOST": "a,::1", "PORT": "1,2", "USER": "", "NAME": "shop"}),
        (
            "postgres://u:p@[::1]/shop",
            {"HOST": "::1", "PORT": "", "USER": "u", "PASSWORD": "p", "NAME": "shop"},
        ),
        ("postgres://u:p@[::1],b:2/shop", {"HOST": "::1,b", "PORT": "5432,2", "USER": "u", "PASSWORD": "p"}),
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
    options = database_config(
        "postgres://h/shop?connect_timeout=9&keepalives_idle=60&options=-c work_mem=8MB", pooler=""
    )["OPTIONS"]
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
    [
        ("sqlite:///x.db", "must name a PostgreSQL database"),
        ("h:5432/shop", "must name a PostgreSQL"),
        ("postgres://u:se/cret@h/x", "%2F"),
        ("postgres://u:cret@[::1/x", "isn't understood"),
        ("postgres://u:cret@h:port/x", "isn't understood"),
    ],
)
def test_what_is_not_understood_is_refused_without_the_password(url: str, told: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=told) as caught:
        database_config(url, pooler="")
    assert "cret" not in str(caught.value)


@pytest.fixture
def _no_other_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only the address configures TLS."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PGSSLMODE", "PGSSLROOTCERT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_no_other_word")
@pytest.mark.parametrize(
    "query", ["sslmode=require", "sslmode=prefer", "sslmode=allow", "sslmode=require&sslrootcert=/run/ca.pem"]
)
def test_unverified_tls_is_refused_unless_it_is_allowed(query: str) -> None:
    url = f"postgres://u:secret@h/shop?{query}"
    for pooler in ("", "session", "transaction"):
        with pytest.raises(ImproperlyConfigured, match="DATABASE_TLS_UNVERIFIED") as caught:
            database_config(url, pooler=pooler)
        assert "secret" not in str(caught.value)
    assert (
        database_config(url, pooler="", may_be_unverified=True)["OPTIONS"]["sslmode"]
        == query[8:].split("&", maxsplit=1)[0]
    )


@pytest.mark.usefixtures("_no_other_word")
def test_what_libpq_reads_from_its_own_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "require")
    with pytest.raises(ImproperlyConfigured, match="sslmode=require"):
        database_config("postgres://h/shop", pooler="")
    assert database_config("postgres://h/shop?sslmode=disable", pooler="")


@pytest.mark.usefixtures("_no_other_word")
@pytest.mark.parametrize("mode", ["verify-full", "verify-ca"])
def test_verified_tls_needs_an_authority(mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="no sslrootcert"):
        database_config(f"postgres://h/shop?sslmode={mode}", pooler="")
    options = database_config(f"postgres://a,b/shop?sslmode={mode}&sslrootcert=/run/ca.pem", pooler="")[
        "OPTIONS"
    ]
    assert (options["sslmode"], options["sslrootcert"]) == (mode, "/run/ca.pem")
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").touch()
    assert database_config(f"postgres://h/shop?sslmode={mode}", pooler="")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("PGSSLROOTCERT", "/run/ca.pem")
    assert database_config(f"postgres://h/shop?sslmode={mode}", pooler="")


@pytest.mark.usefixtures("_no_other_word")
@pytest.mark.parametrize(
    ("query", "told"),
    [("sslmode=verify_full", "doesn't know"), ("sslrootcert=/run/ca.pem", "without sslmode")],
)
def test_tls_that_would_be_none_is_refused(query: str, told: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=told):
        database_config(f"postgres://h/shop?{query}", pooler="")


@pytest.mark.usefixtures("_no_other_word")
def test_an_address_without_tls_is_taken() -> None:
    assert "sslmode" not in database_config("postgres://h/shop", pooler="")["OPTIONS"]
    assert database_config("postgres://h/shop?sslmode=disable", pooler="")["OPTIONS"]["sslmode"] == "disable"
