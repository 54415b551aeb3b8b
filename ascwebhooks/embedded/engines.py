"""The engines of one HOME_DIR: whichever of the two has no URL given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ascwebhooks.embedded import binaries, places
from ascwebhooks.embedded.engine import START_TIMEOUT_S, Engine
from ascwebhooks.embedded.postgres import Postgres
from ascwebhooks.embedded.supervisor import Supervisor
from ascwebhooks.embedded.valkey import Valkey
from ascwebhooks.settings import Settings

SECRET_FILE = "valkey.secret"  # noqa: S105  (the name of the file)


@dataclass(frozen=True)
class Engines:
    """What is run here; None where a URL was given instead."""

    postgres: Postgres | None = None
    valkey: Valkey | None = None
    note: str | None = None

    def urls(self) -> dict[str, str]:
        """Return the settings that lead to them, such as ``DATABASE_URL``."""
        urls = {}
        if self.postgres is not None:
            urls["DATABASE_URL"] = self.postgres.url()
        if self.valkey is not None:
            urls["REDIS_URL"] = self.valkey.url()
        return urls

    def all(self) -> tuple[Engine, ...]:
        """Return them in the order of starting."""
        return tuple(each for each in (self.postgres, self.valkey) if each is not None)


def choose(settings: Settings) -> Engines:
    """Return the engines that these settings leave to us, not yet started.

    Raises:
        Unavailable: If they cannot be run here; the message says why.
    """
    if settings.database_url and settings.redis_url:
        return Engines()
    return of_home(
        settings.home_dir,
        postgres=not settings.database_url,
        valkey=not settings.redis_url,
    )


def of_home(
    home_dir: Path, *, postgres: bool = True, valkey: bool = True, durable: bool = True
) -> Engines:
    """Return the engines whose data belongs to ``home_dir``, not yet started.

    Args:
        home_dir: HOME_DIR.
        postgres: Whether PostgreSQL is among them.
        valkey: Whether Valkey is.
        durable: False is for tests that want speed.

    Raises:
        Unavailable: If they cannot be run here; the message says why.
    """
    home_dir.mkdir(parents=True, exist_ok=True)
    place = places.choose(home_dir)
    programs = binaries.find(place.user)
    return Engines(
        Postgres(
            place.data / places.POSTGRES,
            places.socket_folder(place),
            programs,
            user=place.user,
            durable=durable,
        )
        if postgres
        else None,
        Valkey(
            place.data / places.VALKEY,
            place.home / SECRET_FILE,
            programs,
            user=place.user,
        )
        if valkey
        else None,
        place.note,
    )


def start_embedded(settings: Settings, supervisor: Supervisor) -> Engines:
    """Start the engines that are ours to start; return when they can be used.

    Hold ``locks.home`` meanwhile and after.

    Raises:
        Unavailable: If one cannot be started; the message says why.
        Interrupted: If we were told to stop meanwhile.
    """
    engines = choose(settings)
    if engines.note:
        supervisor.say(engines.note)
    for engine in engines.all():
        engine.prepare(supervisor.pause)
        supervisor.start(engine.program())
        supervisor.wait_ready(engine.name, engine.ready, START_TIMEOUT_S)
    return engines
