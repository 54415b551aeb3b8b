"""Each wrong setting is named; what is given wins over what is known."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from dataclasses import fields
from pathlib import Path

import certifi
import pytest

from ascwebhooks import settings
from ascwebhooks.errors import SettingsInvalid
from ascwebhooks.settings import PREFIX, Settings

KEY = base64.b64encode(b"k" * 32).decode()
OTHER_KEY = base64.b64encode(b"o" * 32).decode()


@pytest.fixture
def read(tmp_path: Path):
    def read(**given: str) -> Settings:
        named = {PREFIX + name: value for name, value in given.items()}
        return settings.read({PREFIX + "HOME_DIR": str(tmp_path), **named})

    return read


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DATABASE_URL", "mysql://db/x", "postgresql://"),
        ("REDIS_URL", "http://localhost:6379", "redis://"),
        ("ENCRYPTION_KEYS", KEY, "id:base64"),
        ("ENCRYPTION_KEYS", "k1:not base64!", "k1"),
        ("ENCRYPTION_KEYS", "k1:c2hvcnQ=", "32"),
        ("BIND", "8380", "host:port"),
        ("BIND", "localhost:", "host:port"),
        ("REGION", "EU West", "lower-case"),
        ("ALLOWED_NETWORKS", "10.0.0.1/8", "CIDR"),
        ("ALLOWED_NETWORKS", "intranet", "CIDR"),
        ("ALLOW_HTTP", "perhaps", "boolean"),
        ("INGEST_BATCH", "0", "1"),
        ("RETENTION_DAYS", "7", "8"),
        ("RETENTION_DAYS", "a week", "integer"),
        ("DEDUPE_DAYS", "0", "1"),
        ("PARTITIONS_AHEAD_DAYS", "1", "2"),
        ("LEASE_S", "4", "5"),
        ("MAX_TRANSFERS", "0", "1"),
        ("DELIVER_THREADS", "65", "64"),
        ("DELIVER_PROCESSES", "0", "1"),
        ("METRICS_BIND", "9100", "host:port"),
        ("TRACES_ENDPOINT", "collector:4318", "http://"),
        ("PORTAL_FRAME_ANCESTORS", "https://a.example; script-src *", "origins"),
        ("PORTAL_SESSION_S", "10", "60"),
        ("OIDC_ISSUER", "id.example.com", "https://"),
        ("OIDC_SCOPES", "profile email", "openid"),
        ("OIDC_ROLES", "admins", "GROUP=ROLE"),
        ("OIDC_ROLES", "admins=admin,ops=publisher", "'ops=publisher'"),
        ("OIDC_ROLES", "ops=operator@", "GROUP=ROLE@TENANT"),
        ("OIDC_ROLES", "=admin", "GROUP=ROLE"),
        ("OIDC_ROLES", "admins=admin,", "GROUP=ROLE"),
        ("CA_FILE", "/nowhere/ca.pem", "/nowhere/ca.pem: No such file"),
        ("CA_FILE", __file__, "PEM certificates"),
        ("METRICS_TARGETS", "ingest", "ingest=127.0.0.1:9101"),
        ("LOG_LEVEL", "LOUD", "INFO"),
        ("LOG_FORMAT", "xml", "json"),
    ],
)
def test_a_wrong_value_names_its_setting_and_says_what_is_right(
    read, name, value, says
):
    with pytest.raises(SettingsInvalid) as caught:
        read(**{name: value})

    assert str(caught.value).startswith(f"{PREFIX}{name}: ")
    assert says in str(caught.value)
    assert caught.value.context["setting"] == PREFIX + name


def test_a_wrong_key_is_not_shown(read):
    with pytest.raises(SettingsInvalid) as caught:
        read(ENCRYPTION_KEYS="k1:c2VjcmV0")
    assert "c2VjcmV0" not in str(caught.value)


def test_defaults_are_those_of_the_contract(read):
    found = read()
    assert found.bind == "127.0.0.1:8380"
    assert found.stream == "asc:events"
    assert found.region == "default"
    assert (found.retention_days, found.dedupe_days) == (30, 7)
    assert found.allowed_networks == ()
    assert found.allow_http is False
    assert found.database_url is None


def test_the_environment_wins_over_runtime_env_and_that_over_defaults(read, tmp_path):
    (tmp_path / "runtime.env").write_text(
        f"{PREFIX}REGION='from-file'\n{PREFIX}STREAM='from:file'\n"
    )
    found = read(REGION="from-env")

    assert found.region == "from-env"
    assert found.stream == "from:file"
    assert found.stream_group == "ascwebhooks"


def test_a_key_ring_that_is_given_wins_over_the_file(read, tmp_path):
    (tmp_path / "encryption.keys").write_text(f"k1:{KEY}\n")
    assert read().encryption_keys == (("k1", b"k" * 32),)

    given = read(ENCRYPTION_KEYS=f"k2:{OTHER_KEY},k1:{KEY}")
    assert [key_id for key_id, _ in given.encryption_keys] == ["k2", "k1"]


def test_an_empty_value_is_as_good_as_none(read):
    assert read(DATABASE_URL="", REGION="").region == "default"


def test_home_dir_is_absolute_whatever_was_given(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert settings.read({}).home_dir == tmp_path / "var"
    assert settings.read({PREFIX + "HOME_DIR": "x"}).home_dir == tmp_path / "x"


def test_networks_are_read_as_such(read):
    found = read(ALLOWED_NETWORKS="127.0.0.1/32, fd00::/8")
    assert found.allowed_networks == (
        ipaddress.ip_network("127.0.0.1/32"),
        ipaddress.ip_network("fd00::/8"),
    )


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("DATABASE_URL", Settings.require_database_url),
        ("REDIS_URL", Settings.require_redis_url),
        ("ENCRYPTION_KEYS", Settings.require_encryption_keys),
    ],
)
def test_a_missing_value_is_named_when_it_is_needed(name, ask):
    with pytest.raises(SettingsInvalid, match=PREFIX + name):
        ask(Settings())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hunter2@h:6379/0", "redis://:***@h:6379/0"),
        ("redis://user:hunter2@h/0", "redis://user:***@h/0"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://user@h:6379/0", "redis://user@h:6379/0"),
    ],
)
def test_passwords_are_masked(url, shown):
    assert settings.dump(Settings(redis_url=url), show_secrets=False)["REDIS_URL"] == (
        shown
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@h/db?sslmode=require",
        "postgresql://u:p@ss:hunter2@h/db",
        "postgresql://u:hunter2/x@h/db",
        "postgresql://h/db?user=u&password=hunter2",
    ],
)
def test_no_spelling_of_a_url_shows_its_password(url):
    shown = settings.dump(Settings(database_url=url), show_secrets=False)
    assert "hunter2" not in json.dumps(shown)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hunter2@c.example.com/v1", "https://***@c.example.com/v1"),
        ("https://u:hunter2@c.example.com/v1", "https://***@c.example.com/v1"),
        ("https://c.example.com/v1?key=hunter2", "https://c.example.com/v1?***"),
        ("https://c.example.com/v1/traces", "https://c.example.com/v1/traces"),
    ],
)
def test_a_collectors_token_is_masked(read, url, shown):
    """OpenTelemetry's own variable brings it, too."""
    found = read(TRACES_ENDPOINT=url)
    assert settings.dump(found, show_secrets=False)["TRACES_ENDPOINT"] == shown
    assert settings.dump(found, show_secrets=True)["TRACES_ENDPOINT"] == url


def test_certifis_authorities_are_a_ca_file(read):
    assert read(CA_FILE=certifi.where()).ca_file == certifi.where()


def test_dump_shows_every_setting_and_keys_only_when_asked(read):
    found = read(
        ENCRYPTION_KEYS=f"k1:{KEY}", REDIS_URL="redis://:p@h/0", ALLOW_HTTP="yes"
    )
    masked = settings.dump(found, show_secrets=False)
    whole = settings.dump(found, show_secrets=True)

    assert KEY not in json.dumps(masked)
    assert masked["ENCRYPTION_KEYS"] == "k1:***"
    assert whole["ENCRYPTION_KEYS"] == f"k1:{KEY}"
    assert whole["REDIS_URL"] == "redis://:p@h/0"
    assert whole["ALLOW_HTTP"] is True
    assert masked.keys() == whole.keys() >= {"DATABASE_URL", "BIND", "HOME_DIR"}


def test_settings_do_not_show_keys_when_printed(read):
    assert KEY not in repr(read(ENCRYPTION_KEYS=f"k1:{KEY}"))
    assert "kkkk" not in repr(read(ENCRYPTION_KEYS=f"k1:{KEY}"))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t:4318/in",
            },
            "http://t:4318/in",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
                "OTEL_SDK_DISABLED": "true",
            },
            None,
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
                PREFIX + "TRACES_ENDPOINT": "https://own/v1/traces",
            },
            "https://own/v1/traces",
        ),
    ],
)
def test_traces_go_where_opentelemetrys_variables_say_unless_told_otherwise(
    tmp_path, variables, expected
):
    found = settings.read({PREFIX + "HOME_DIR": str(tmp_path), **variables})
    assert found.traces_endpoint == expected


SSO = {
    "OIDC_ISSUER": "https://id.example.com",
    "OIDC_CLIENT_ID": "ascwebhooks",
    "OIDC_ROLES": "asc-admins=admin, cn=ops=operator@acme",
}


def test_groups_are_mapped_to_roles(read):
    """A group's name may have an equals sign in it; the last one counts."""
    assert read(**SSO).oidc_roles == (
        ("asc-admins", "admin", None),
        ("cn=ops", "operator", "acme"),
    )
    shown = settings.dump(read(**SSO), show_secrets=False)
    assert shown["OIDC_ROLES"] == ["asc-admins=admin", "cn=ops=operator@acme"]


@pytest.mark.parametrize("missing", ["OIDC_CLIENT_ID", "OIDC_ROLES"])
def test_single_sign_on_needs_all_of_its_settings(read, missing):
    given = {name: value for name, value in SSO.items() if name != missing}
    with pytest.raises(SettingsInvalid, match=PREFIX + missing):
        read(**given)


def test_a_provider_without_tls_has_to_be_allowed(read):
    plain = {**SSO, "OIDC_ISSUER": "http://127.0.0.1:9400"}
    with pytest.raises(SettingsInvalid, match=PREFIX + "OIDC_ISSUER"):
        read(**plain)
    assert read(**plain, ALLOW_HTTP="1").oidc_issuer == "http://127.0.0.1:9400"


def test_the_clients_secret_is_not_shown(read):
    found = read(**SSO, OIDC_CLIENT_SECRET="s3cret")
    assert "s3cret" not in repr(found)
    assert settings.dump(found, show_secrets=False)["OIDC_CLIENT_SECRET"] == "***"
    assert settings.dump(found, show_secrets=True)["OIDC_CLIENT_SECRET"] == "s3cret"


def as_written(value: object) -> str:
    """Return how the README writes a default."""
    if value is None or value == ():
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_the_readme_lists_every_setting_with_its_default():
    readme = Path(__file__).parents[2] / "README.rst"
    table = readme.read_text().split("\nSettings\n---")[1]
    in_readme = dict(re.findall(r"^``([A-Z_]+|OIDC_…)`` +`*(\S+?)`* ", table, re.M))
    defaults = {
        each.name.upper(): as_written(each.default) for each in fields(Settings)
    }

    assert in_readme.pop("OIDC_…") == "none"
    assert in_readme.keys() == {name for name in defaults if "OIDC" not in name}
    # What is not given is made or found: the README says how.
    made = {"DATABASE_URL", "REDIS_URL", "ENCRYPTION_KEYS", "CA_FILE"}
    said = {name: value for name, value in in_readme.items() if name not in made}
    assert said == {name: defaults[name] for name in said}
