"""Settings: the only reader of the environment.

Order of precedence: the environment (``ASCWEBHOOKS_…``), then what a running
``ascwebhooks up`` wrote to ``HOME_DIR/runtime.env``, then the defaults here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import marshmallow as ma
from dotenv import dotenv_values
from marshmallow import validate

from ascwebhooks.errors import SettingsInvalid
from ascwebhooks.setting_values import (
    HOST_AND_PORT,
    GroupRoles,
    KeyRing,
    Network,
    Networks,
    Origins,
    Targets,
    authorities,
    count,
    url,
)

PREFIX = "ASCWEBHOOKS_"
RUNTIME_FILE = "runtime.env"
KEY_RING_FILE = "encryption.keys"
SECRET_SETTINGS = frozenset(
    {
        "ENCRYPTION_KEYS",
        "DATABASE_URL",
        "REDIS_URL",
        "OIDC_CLIENT_SECRET",
        "TRACES_ENDPOINT",
    }
)

_MASK = "***"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What this process was told; frozen, passed in, never looked up again.

    Durations end in their unit, sizes in ``_bytes``.
    """

    database_url: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)
    encryption_keys: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    home_dir: Path = Path("var")
    bind: str = "127.0.0.1:8380"
    region: str = "default"
    allowed_networks: tuple[Network, ...] = ()
    allow_http: bool = False
    ca_file: str | None = None
    mappings_dir: Path | None = None
    stream: str = "asc:events"
    stream_group: str = "ascwebhooks"
    ingest_batch: int = 500
    keep_signals: str = "wanted"
    default_rules: bool = True
    retention_days: int = 30
    dedupe_days: int = 7
    partitions_ahead_days: int = 14
    lease_s: int = 60
    max_transfers: int = 1000
    deliver_threads: int = 4
    deliver_processes: int = 1
    metrics_bind: str | None = None
    metrics_targets: tuple[str, ...] = ()
    traces_endpoint: str | None = None
    public_url: str | None = None
    trusted_proxies: int = 0
    portal_frame_ancestors: tuple[str, ...] = ()
    portal_session_s: int = 3_600
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: str | None = field(default=None, repr=False)
    oidc_scopes: str = "openid profile email"
    oidc_groups_claim: str = "groups"
    oidc_roles: tuple[tuple[str, str, str | None], ...] = ()
    oidc_name: str | None = None
    session_idle_s: int = 7_200
    session_max_s: int = 43_200
    log_level: str = "INFO"
    log_format: str = "json"

    def require_database_url(self) -> str:
        """Return the database's URL.

        Raises:
            SettingsInvalid: If there is none.
        """
        return _required("DATABASE_URL", self.database_url)

    def require_redis_url(self) -> str:
        """Return the URL of the Redis or Valkey server.

        Raises:
            SettingsInvalid: If there is none.
        """
        return _required("REDIS_URL", self.redis_url)

    def require_encryption_keys(self) -> tuple[tuple[str, bytes], ...]:
        """Return the key ring, the wrapping key first.

        Raises:
            SettingsInvalid: If it is empty.
        """
        if not self.encryption_keys:
            _required("ENCRYPTION_KEYS", None)
        return self.encryption_keys


def _required(name: str, value: str | None) -> str:
    if value:
        return value
    raise SettingsInvalid(
        f"{PREFIX}{name} is not set. Set it, or start the embedded engines with "
        f"'ascwebhooks up' in this directory.",
        setting=PREFIX + name,
    )


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings in force.

    Args:
        environ: The process environment.

    Raises:
        SettingsInvalid: If one is wrong; the message names it.
    """
    home = Path(environ.get(PREFIX + "HOME_DIR") or "var").absolute()
    merged = {**_runtime(home), **environ, PREFIX + "HOME_DIR": str(home)}
    if not merged.get(PREFIX + "ENCRYPTION_KEYS"):
        merged[PREFIX + "ENCRYPTION_KEYS"] = _key_ring(home)
    if not merged.get(PREFIX + "TRACES_ENDPOINT"):
        merged[PREFIX + "TRACES_ENDPOINT"] = _otlp_endpoint(environ)
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in merged.items()
        if name.startswith(PREFIX) and value != ""
    }
    try:
        return _checked(Settings(**_SettingsSchema().load(given)))
    except ma.ValidationError as error:
        name, problems = sorted(_messages(error).items())[0]
        setting = PREFIX + str(name).upper()
        raise SettingsInvalid(
            f"{setting}: {_first(problems)}", setting=setting
        ) from error


def _checked(settings: Settings) -> Settings:
    """Return settings that go together.

    Raises:
        ValidationError: If one lacks another.
    """
    if settings.oidc_issuer is None:
        return settings
    for name in ("oidc_client_id", "oidc_roles"):
        if not getattr(settings, name):
            raise ma.ValidationError(
                {name: [f"it is not set, and {PREFIX}OIDC_ISSUER is."]}
            )
    if settings.oidc_issuer.startswith("http://") and not settings.allow_http:
        raise ma.ValidationError(
            {"oidc_issuer": ["the URL starts with https:// (http takes ALLOW_HTTP)."]}
        )
    return settings


def _otlp_endpoint(environ: Mapping[str, str]) -> str:
    """Return where OpenTelemetry's own variables want traces sent; '' if nowhere.

    Source:
        OpenTelemetry Protocol Exporter, "Endpoint URLs for OTLP/HTTP".
    """
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    if own := environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return own
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
    return f"{base}/v1/traces" if base else ""


def _messages(error: ma.ValidationError) -> dict[Any, Any]:
    messages = error.messages
    return messages if isinstance(messages, dict) else {"settings": messages}


def dump(settings: Settings, *, show_secrets: bool) -> dict[str, Any]:
    """Return the settings as JSON-ready values under their environment names.

    Args:
        settings: What to show.
        show_secrets: Whether passwords and keys are shown or masked.
    """
    special: dict[str, Any] = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "ENCRYPTION_KEYS": ",".join(
            f"{key_id}:{base64.b64encode(key).decode()}"
            for key_id, key in settings.encryption_keys
        ),
        "ALLOWED_NETWORKS": [str(each) for each in settings.allowed_networks],
        "HOME_DIR": str(settings.home_dir),
        "MAPPINGS_DIR": settings.mappings_dir and str(settings.mappings_dir),
        "METRICS_TARGETS": list(settings.metrics_targets),
        "PORTAL_FRAME_ANCESTORS": list(settings.portal_frame_ancestors),
        "OIDC_ROLES": [
            f"{group}={role}" + (f"@{tenant_id}" if tenant_id else "")
            for group, role, tenant_id in settings.oidc_roles
        ],
    }
    values: dict[str, Any] = {
        each.name.upper(): special.get(each.name.upper(), getattr(settings, each.name))
        for each in fields(Settings)
    }
    if not show_secrets:
        values["ENCRYPTION_KEYS"] = ",".join(
            f"{key_id}:***" for key_id, _ in settings.encryption_keys
        )
        for name in ("DATABASE_URL", "REDIS_URL"):
            values[name] = _mask_password(getattr(settings, name.lower()))
        values["TRACES_ENDPOINT"] = _mask_all(settings.traces_endpoint)
        if settings.oidc_client_secret is not None:
            values["OIDC_CLIENT_SECRET"] = _MASK
    return values


def _mask_password(url: str | None) -> str | None:
    if url is None:
        return None
    # A password may hold '/', and libpq takes one as a parameter too.
    masked = re.sub(r"(?<=://)([^:@]*):(.*)@", r"\1:***@", url)
    return re.sub(r"(?i)([?&](?:ssl)?password=)[^&#]*", r"\1***", masked)


def _mask_all(url: str | None) -> str | None:
    """Mask all of a URL that may be a token: whoever is told, and the query."""
    if url is None:
        return None
    return re.sub(r"\?.*", f"?{_MASK}", re.sub(r"(?<=://).*@", f"{_MASK}@", url))


def _runtime(home: Path) -> dict[str, str]:
    path = home / RUNTIME_FILE
    if not path.is_file():
        return {}
    return {k: v for k, v in dotenv_values(path).items() if v is not None}


def _key_ring(home: Path) -> str:
    path = home / KEY_RING_FILE
    return path.read_text().strip() if path.is_file() else ""


def _first(problems: Any) -> str:
    while isinstance(problems, dict | list) and problems:
        problems = (
            problems[0] if isinstance(problems, list) else next(iter(problems.values()))
        )
    return str(problems)


class _SettingsSchema(ma.Schema):
    """How each setting is written in the environment."""

    class Meta:
        """Foreign ASCWEBHOOKS_ variables are none of this process's business."""

        unknown = ma.EXCLUDE

    database_url = ma.fields.String(validate=url(("postgresql", "postgres")))
    redis_url = ma.fields.String(
        validate=url(("redis", "rediss", "valkey", "valkeys", "unix"))
    )
    encryption_keys = KeyRing()
    home_dir = ma.fields.Function(deserialize=Path)
    bind = ma.fields.String(validate=HOST_AND_PORT)
    region = ma.fields.String(
        validate=validate.Regexp(
            r"[a-z0-9][a-z0-9-]{0,31}\Z", error="lower-case letters, digits and '-'."
        )
    )
    allowed_networks = Networks()
    allow_http = ma.fields.Boolean()
    ca_file = ma.fields.Function(deserialize=authorities)
    mappings_dir = ma.fields.Function(deserialize=Path)
    stream = ma.fields.String()
    stream_group = ma.fields.String()
    ingest_batch = count(1, 5000)
    default_rules = ma.fields.Boolean()
    keep_signals = ma.fields.String(validate=validate.OneOf(["wanted", "all"]))
    retention_days = count(8, 3650)
    dedupe_days = count(1, 365)
    partitions_ahead_days = count(2, 365)
    lease_s = count(5, 3600)
    max_transfers = count(1, 10_000)
    deliver_threads = count(1, 64)
    deliver_processes = count(1, 64)
    metrics_bind = ma.fields.String(validate=HOST_AND_PORT)
    metrics_targets = Targets()
    traces_endpoint = ma.fields.String(validate=url(("http", "https")))
    public_url = ma.fields.String(
        validate=validate.Regexp(
            r"https?://[A-Za-z0-9.:\[\]-]+\Z",
            error="give scheme and host, as in https://webhooks.example.com.",
        )
    )
    trusted_proxies = count(0, 5)
    portal_frame_ancestors = Origins()
    portal_session_s = count(60, 86_400)
    oidc_issuer = ma.fields.String(validate=url(("https", "http")))
    oidc_client_id = ma.fields.String()
    oidc_client_secret = ma.fields.String()
    oidc_scopes = ma.fields.String(
        validate=validate.Regexp(
            r"(?:\S+ )*openid(?: \S+)*\Z",
            error="give scopes, separated by spaces, 'openid' among them.",
        )
    )
    oidc_groups_claim = ma.fields.String()
    oidc_roles = GroupRoles()
    oidc_name = ma.fields.String(validate=validate.Length(1, 60))
    session_idle_s = count(60, 604_800)
    session_max_s = count(60, 2_592_000)
    log_level = ma.fields.String(
        validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])
    )
    log_format = ma.fields.String(validate=validate.OneOf(["json", "console"]))
