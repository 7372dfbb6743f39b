"""Where runs are tracked: refused before a run begins where that is no place, tried once before MLflow tries it for minutes."""

from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy

import lnas

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SCHEMES = ("", "file", "http", "https", "databricks", "databricks-uc", "uc", *_DATABASES)
_GROUP = "mlflow.tracking_store"


def check_uri(uri: str) -> None:
    """Refuse a tracking URI that MLflow knows nothing of, or that holds a password.

    Raises:
        ConfigError: naming what there is.
    """
    if urlsplit(uri).password is not None:
        raise lnas.ConfigError(
            f"uri {without_password(uri)} holds a password, which would stand in config.toml; set MLFLOW_TRACKING_URI to it, or"
            " MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if scheme_of(uri) in _SCHEMES or uri == "databricks":
        return
    more = sorted(point.name for point in metadata.entry_points(group=_GROUP))
    if urlsplit(uri).scheme not in more:
        ways = ", ".join([*(scheme for scheme in _SCHEMES if scheme), *more])
        raise lnas.ConfigError(f"uri must be a folder or begin with one of {ways}, not {without_password(uri)!r}")


def try_database(uri: str) -> None:
    """Connect to a database once.  MLflow would do so ten times, with pauses that add up to more than a minute.

    Raises:
        ConnectionError: where that fails.
    """
    if scheme_of(uri) not in _DATABASES:
        return
    try:
        url = sqlalchemy.make_url(uri)
        if scheme_of(uri) == "sqlite" and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sqlalchemy.create_engine(url)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except (OSError, ImportError, sqlalchemy.exc.SQLAlchemyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConnectionError(f"cannot use {without_password(uri)}: {reason}") from None  # the cause would show the password


def absolute(uri: str) -> str:
    """The same place from whatever folder: SQLAlchemy keeps connections by the URI, and so MLflow does."""
    if scheme_of(uri) != "sqlite":
        return uri
    url = sqlalchemy.make_url(uri)
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        return uri
    return url.set(database=str(Path(url.database).resolve())).render_as_string(hide_password=False)


def without_password(uri: str) -> str:
    """For messages."""
    head, at, tail = uri.rpartition("@")
    return f"{head.partition('://')[0]}://***@{tail}" if at and "://" in head else uri


def scheme_of(uri: str) -> str:
    """In front of "://", without the driver of a database."""
    return urlsplit(uri).scheme.partition("+")[0]
