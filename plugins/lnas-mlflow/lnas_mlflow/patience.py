"""MLflow reads its patience, and whether it may report home, from the environment alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

UNLESS_SET = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds; MLflow's own default is 120
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # 7, with pauses that double
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""What holds while MLflow is called from here."""


@contextmanager
def impatient() -> Iterator[None]:
    """Call MLflow with `UNLESS_SET`; what the user has set stays, and the environment is put back.

    A server that does not answer costs two tries of 10 s, and not several minutes.
    """
    added = [name for name in UNLESS_SET if name not in os.environ]
    os.environ.update({name: UNLESS_SET[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
