"""What a sweep's own table must not say: every check of it, one after the other."""

from collections.abc import Iterator
from itertools import groupby

from lnas.sweep.check_costs import costs
from lnas.sweep.check_labels import labels, twins
from lnas.sweep.check_runs import accuracies, attained, nothing_chosen_by_test, running_best
from lnas.sweep.findings import Finding
from lnas.sweep.results import Results


def check(results: Results) -> tuple[Finding, ...]:
    """All that is wrong with the results of a sweep, or that a reader of them should know; empty where nothing is.

    What is violated comes first.  Each check has its own file; all look at what was measured and configured, none at a verdict.
    """
    checks = (running_best, accuracies, nothing_chosen_by_test, labels, pairs, twins, costs, attained)
    found = [finding for each in checks for finding in each(results)]
    return tuple(sorted(found, key=lambda finding: finding.severity != "violated"))


def pairs(results: Results) -> Iterator[Finding]:
    """Every row has one finished trial of every seed; one that may still finish, or was given up, is no fault."""
    seeds = sorted({*results.seeds, *(trial.seed for trial in results.trials)})
    for row in results.rows:
        trials = sorted((trial for trial in results.trials if trial.row == row.label), key=lambda trial: trial.seed)
        for seed, several in groupby(trials, key=lambda trial: trial.seed):
            if (number := len(list(several))) > 1:
                yield Finding(
                    "violated", "pairs", row.label, f"{number} trials of seed {seed}, where one is a pair of another row's"
                )
        done = results.of(row.label)
        states = {trial.seed: trial.state for trial in trials}
        missing = {seed: states.get(seed, "not planned") for seed in seeds if seed not in done}
        fault = any(state in ("failed", "not planned") for state in missing.values())
        if missing:
            words = ", ".join(f"seed {seed} ({state})" for seed, state in missing.items())
            what = f"{len(missing)} of {len(seeds)} seeds {'did not finish' if fault else 'are not finished'}: {words}"
            yield Finding("violated" if fault else "noted", "pairs", row.label, what)
