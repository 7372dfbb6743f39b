"""Ray in a program of others: it reports nothing home, prints nothing, and puts back what it changes in the process."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

UNLESS_SET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nobody asked for reports on the use of Ray
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray will do in future, and warns of until it is set
}
"""What holds while Ray is imported and started."""


@contextmanager
def polite() -> Iterator[None]:
    """Start Ray with `UNLESS_SET`; what the user has set stays, and environment and signal handler are put back."""
    environment = dict(os.environ)
    here = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    os.environ.update({name: value for name, value in UNLESS_SET.items() if name not in environment})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        if here and handler is not None:
            signal.signal(signal.SIGTERM, handler)


def silence() -> Callable[[], None]:
    """Keep Ray from printing that a worker died, and give back what undoes that.

    It prints so to standard output, where the JSON of a program may be, and also with `log_to_driver=False`; the outcome of
    the work says the same.  Ray has no setting for it.
    """
    from ray._private import worker

    name = "print_to_stdstream"
    printing = getattr(worker, name, None)
    if printing is None:
        return lambda: None
    setattr(worker, name, lambda *arguments, **options: None)
    return lambda: setattr(worker, name, printing)
