"""What `lnas verify` finds of one file."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from lnas.core.errors import LnasError
from lnas.host.foreign import in_one_line

Verdict: TypeAlias = Literal["ok", "wrong", "absent", "noted"]
"""What was not written yet is absent; what is in nobody's way, as a damaged checkpoint beside a whole one, is noted."""

_LEFT_BY_A_WRITE = re.compile(r"\..+\.tmp")


@dataclass(frozen=True)
class Finding:
    """What was found of one file.

    Attributes:
        file: its place in the run directory.
        verdict: see `Verdict`.
        words: what is wrong, or what is there.
    """

    file: str
    verdict: Verdict
    words: str = ""


def judged(run: Path, file: Path, look: Callable[[], str], *, needed: bool) -> Finding:
    """The finding of one check.

    Args:
        run: the run directory.
        file: in it.
        look: says what is there, or raises what is wrong.
        needed: whether it is wrong that the file is missing.
    """
    verdict: Verdict = "ok"
    try:
        file.lstat()
        words = look()
    except FileNotFoundError:
        verdict, words = ("wrong", "missing") if needed else ("absent", "")
    except OSError as error:
        verdict, words = "wrong", f"cannot be read: {error.strerror or error}"
    except (LnasError, ValueError) as error:  # a ValueError is one of a document, and says what is wrong with it
        verdict, words = "wrong", " ".join(str(error).split())
    except (Exception, SystemExit) as error:  # a part raises what it likes
        verdict, words = "wrong", in_one_line(error)
    return Finding(str(file.relative_to(run)), verdict, words.removeprefix(f"{file}: ").removeprefix(f"{file} "))


def count(number: int, what: str) -> str:
    """So many of a thing: "1 line", "1,300 lines"."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def unknown(run: Path, file: Path) -> Finding:
    """The finding of a file that is none of a run's."""
    left = _LEFT_BY_A_WRITE.fullmatch(file.name)
    words = "left by a write that was interrupted, or that goes on" if left else "not of lnas, or of a plugin"
    return Finding(str(file.relative_to(run)), "noted", words)
