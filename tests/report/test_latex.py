"""A sweep as a table of LaTeX, read back by a strict reader of braces, commands and cells."""

import math
import re
import statistics
from dataclasses import replace

import pytest

from lnas.report.latex import escaped, rows_latex
from lnas.sweep.results import Results, Row, TrialResult

KNOWN = {
    *("begin", "end", "toprule", "midrule", "bottomrule", "pm", "char", "textbackslash", "textasciitilde", "textasciicircum"),
    *("textless", "textgreater", "textbar", "textasciigrave", "textquotesingle"),
}
LAST = (r"After the last prune (\%)", r"Validation (\%)", r"Test (\%)")
NASTY = "a\\b{c}$d&e#f%g_h~i^j<k>l|m\"n`o'p--q[r]*s\nt\x1b[31m"


def trial(row: str, seed: int, test: float, **more: object) -> TrialResult:
    made = TrialResult(f"{row}-{seed}", row, seed, "finished", half=test - 0.1, end=test, test=test, parameters=1000 + seed)
    made = replace(made, ticket=test - 0.2, validation=test - 0.15)
    return replace(made, macs_nonzero=2_000_000, nni_compat=3_000_000, search_seconds=61.25, **more)  # type: ignore[arg-type]


def sweep(**more: object) -> Results:
    rows = (Row("baseline", "lnas/baseline"), Row("variant1 p=0.25", "variant1", 0.25), Row("c", "variant1", 0.25, "reinit", "x"))
    trials = [*(trial("baseline", seed, test) for seed, test in enumerate((0.5, 0.6, 0.7))), trial("variant1 p=0.25", 0, 0.25)]
    waiting = TrialResult("w", "c", 0, "waiting")
    return replace(Results("mine", rows, (*trials, waiting)), **more)  # type: ignore[arg-type]


def strictly_read(text: str) -> list[list[str]]:
    """The cells between \\toprule and \\bottomrule; an assertion where LaTeX would stumble or leave something out."""
    depth = 0
    for token in re.finditer(r"\\([A-Za-z]+)|\\(.)|([{}])|([#~^%$&_])", text):
        command, symbol, brace, special = token.groups()
        assert command is None or command in KNOWN, command
        assert symbol is None or symbol in "\\{}$&#%_", symbol
        depth += {"{": 1, "}": -1}.get(brace, 0)
        assert depth >= 0
        assert special in (None, "&", "$"), text[token.start() - 20 : token.end() + 5]
    assert depth == 0 and len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
    begin, *lines, end = text.rstrip("\n").split("\n")
    columns = re.fullmatch(r"\\begin\{tabular\}\{(lr+)\}", begin)
    assert columns and end == r"\end{tabular}"
    assert (lines[0], lines[2], lines[-1]) == (r"\toprule", r"\midrule", r"\bottomrule")
    found = []
    for line in (lines[1], *lines[3:-1]):
        assert line.endswith(r" \\") and not re.match(r"[\[*]", line)
        found.append(re.split(r" (?<!\\)& ", line.removesuffix(r" \\")))
        assert len(found[-1]) == len(columns[1])
    return found


def test_a_row_has_its_mean_half_its_interval_and_n() -> None:
    head, baseline, variant, control = strictly_read(rows_latex(sweep()))
    assert head == ["Row", "$n$", r"Half-time (\%)", r"End (\%)", *LAST, "Parameters", "Multiply-adds", "Search (s)"]
    half = 100 * 4.302652729749464 * statistics.stdev((0.5, 0.6, 0.7)) / math.sqrt(3)
    assert baseline[:2] == ["baseline", "3"]
    assert baseline[6] == rf"60.00 $\pm$ {half:.2f}" == r"60.00 $\pm$ 24.84"
    assert baseline[4:6] == [rf"40.00 $\pm$ {half:.2f}", rf"45.00 $\pm$ {half:.2f}"]
    assert baseline[7:] == [r"1{,}001 $\pm$ 2", r"2{,}000{,}000", "61.2"], "no interval of equal values"
    assert variant[:7] == ["variant1 p=0.25", "1", "15.00", "25.00", "5.00", "10.00", "25.00"], "no interval of one"
    assert control == ["c", "0", *["--"] * 8]


def test_of_trials_that_were_stopped_early_there_are_no_intervals() -> None:
    text = rows_latex(sweep(stopped_early="median"))
    assert text.startswith("% no intervals: trials were stopped early") and r"\pm" not in text
    assert strictly_read(text.partition("\n")[2])[1][6] == "60.00"


def test_the_printed_table_stands_beside_ours_and_not_beside_a_control() -> None:
    head, baseline, variant, control = strictly_read(rows_latex(sweep(kind="table1")))
    assert [head[index - 1] for index, name in enumerate(head) if name == "printed"] == [
        r"Half-time (\%)",
        r"End (\%)",
        "NNI count",
    ]
    printed = [index for index, name in enumerate(head) if name == "printed"]
    assert [baseline[index] for index in printed] == ["74.04", "78.90", "752.355M"]
    assert [variant[index] for index in printed] == ["67.50", "72.13", "473.034M"]
    assert [control[index] for index in printed] == ["--"] * 3


def test_a_measure_that_some_trials_lack_says_its_own_n() -> None:
    results = sweep()
    trials = (*results.trials[:2], replace(results.trials[2], test=None), *results.trials[3:])
    baseline = strictly_read(rows_latex(replace(results, trials=trials)))[1]
    assert baseline[1] == "3" and baseline[6].startswith("55.00 ") and baseline[6].endswith(" ($n = 2$)")


def test_no_character_of_a_label_is_a_command() -> None:
    text = rows_latex(Results("n", (Row(NASTY, "r"), Row("[1ex]", "r"), Row("*", "r")), ()))
    labels = [cells[0] for cells in strictly_read(text)[1:]]
    assert labels[0] == (
        r"a\textbackslash{}b\{c\}\$d\&e\#f\%g\_h\textasciitilde{}i\textasciicircum{}j\textless{}k\textgreater{}l\textbar{}m"
        r"\char34{}n\textasciigrave{}o\textquotesingle{}p{-}{-}q{[}r{]}{*}s t"
    )
    assert labels[1:] == ["{[}1ex{]}", "{*}"]


@pytest.mark.parametrize("character", [chr(code) for code in range(32, 127) if not chr(code).isalnum()])
def test_every_other_character_of_ascii_is_itself_or_escaped(character: str) -> None:
    assert strictly_read(rows_latex(Results("n", (Row(f"x{character}y", "r"),), ())))[1][0] == escaped(f"x{character}y")


def test_the_same_results_give_the_same_characters() -> None:
    assert rows_latex(sweep()) == rows_latex(sweep())
    assert strictly_read(rows_latex(Results("n", (), ())))[0][:2] == ["Row", "$n$"]
