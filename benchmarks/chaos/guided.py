"""One target under atheris: `python -m benchmarks.chaos.guided NAME CORPUS [libFuzzer options]`; `fuzz` calls it."""

import sys

import atheris

with atheris.instrument_imports(include=["lnas", "json", "tomllib", "packaging"]):
    from benchmarks.chaos.targets import TARGETS


def main() -> None:
    """Fuzz; libFuzzer ends the process itself, with 0 where nothing was found."""
    name, *options = sys.argv[1:]
    target = TARGETS[name]
    corpus = next(word for word in options if not word.startswith("-"))
    for index, data in enumerate(target.corpus):
        with open(f"{corpus}/{index}", "wb") as file:
            file.write(data)
    atheris.Setup([sys.argv[0], *options], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
