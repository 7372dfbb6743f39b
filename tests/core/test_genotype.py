"""Genotypes as values: there and back through JSON, and every malformed document refused by name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnas.core.errors import GenotypeError, LnasError
from lnas.core.genotype import MOST_GENES, Gene, Genotype

GENES = st.builds(
    lambda operation, source, step, weight: Gene(operation, source, source + step, weight),
    st.text(max_size=8),
    st.integers(0, 20),
    st.integers(1, 5),
    st.one_of(st.just(1.0), st.floats(allow_nan=False, allow_infinity=False)),
)
GENOTYPES = st.dictionaries(st.text(max_size=6), st.lists(GENES, max_size=5).map(tuple), max_size=3).flatmap(
    lambda groups: st.builds(
        Genotype,
        st.just(groups),
        st.dictionaries(st.sampled_from(sorted(groups)), st.lists(st.integers(0, 30), min_size=1, max_size=4).map(tuple))
        if groups
        else st.just({}),
    )
)


@given(GENOTYPES)
def test_json_reads_back_as_an_equal_value(genotype: Genotype) -> None:
    document = genotype.to_json()
    assert Genotype.from_json(document) == genotype
    assert Genotype.loads(json.dumps(document)) == genotype


def test_the_document() -> None:
    genotype = Genotype({"normal": (Gene("skip_connect", 0, 2), Gene("sep_conv_3x3", 1, 2, 0.25))}, {"normal": (2,)})
    assert genotype.to_json() == {
        "schema": 1,
        "groups": {"normal": {"genes": [["skip_connect", 0, 2], ["sep_conv_3x3", 1, 2, 0.25]], "output": [2]}},
    }


def test_a_choice_without_outputs_reads_back_as_it_was() -> None:
    genotype = Genotype({"layer1.0": (Gene("conv", 0, 1),)})
    assert Genotype.from_json(genotype.to_json()) == genotype


def groups(*genes: Any, **more: Any) -> dict[str, Any]:
    return {"schema": 1, "groups": {"normal": {"genes": list(genes), "output": [2], **more}}}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (None, "JSON object"),
        ([], "JSON object"),
        ({"schema": 1}, "JSON object"),
        ({"schema": 1, "groups": []}, "JSON object"),
        ({"groups": {}}, "schema None; this lnas reads schema 1"),
        ({"schema": 2, "groups": {}}, "schema 2; this lnas reads schema 1"),
        ({"schema": 1, "groups": {"normal": []}}, "group 'normal' is a JSON object"),
        ({"schema": 1, "groups": {"normal": {"genes": {}}}}, "group 'normal' is a JSON object"),
        (groups("skip_connect"), "is no gene"),
        (groups([]), "is no gene"),
        (groups(["a", 0]), "is no gene"),
        (groups(["a", 0, 2, 1.0, 5]), "is no gene"),
        (groups([1, 0, 2]), "is no gene"),
        (groups(["a", "0", 2]), "is no gene"),
        (groups(["a", 0.0, 2]), "is no gene"),
        (groups(["a", True, 2]), "is no gene"),
        (groups(["a", -1, 2]), "is no gene"),
        (groups(["a", 0, 10**9]), "is no gene"),
        (groups(["a", 2, 2]), "a goes from node 2 to node 2; edges go to a later node"),
        (groups(["a", 3, 2]), "a goes from node 3 to node 2; edges go to a later node"),
        (groups(["a\nb", 3, 2]), r"a\nb goes from node 3 to node 2"),
        (groups(["x" * 10_000, 3, 2]), " goes from node 3 to node 2"),
        (groups(["a", 0, 2, "x"]), "the weight of a must be a finite number"),
        (groups(["a", 0, 2, None]), "the weight of a must be a finite number"),
        (groups(["a", 0, 2, True]), "the weight of a must be a finite number"),
        (groups(["a", 0, 2, float("nan")]), "the weight of a must be a finite number"),
        (groups(["a", 0, 2, float("-inf")]), "the weight of a must be a finite number"),
        (groups(["a", 0, 2, 10**400]), "the weight of a must be a finite number"),
        (groups(output="2"), '"output" is a list of node numbers'),
        (groups(output=["2"]), '"output" is a list of node numbers'),
        (groups(output=[-1]), '"output" is a list of node numbers'),
        (groups(*[["a", 0, 2]] * (MOST_GENES + 1)), f"group 'normal' has {MOST_GENES + 1} genes; at most {MOST_GENES}"),
    ],
)
def test_a_malformed_document_is_refused_in_one_line(document: object, says: str) -> None:
    with pytest.raises(GenotypeError) as caught:
        Genotype.from_json(document)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text", ["", "{", "\x00\xff", "[" * 100_000, '{"schema": 1, "groups": {"a": {"genes": [["x", 0, 1, NaN]]}}}', "1" * 9999]
)
def test_a_text_that_is_no_genotype_is_refused(text: str) -> None:
    with pytest.raises(GenotypeError):
        Genotype.loads(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["schema", "groups", "genes", "output", "x"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(
    st.one_of(
        JSON, st.builds(lambda genes, output: {"schema": 1, "groups": {"g": {"genes": genes, "output": output}}}, JSON, JSON)
    )
)
def test_nothing_but_an_lnas_error_comes_out_of_any_document(document: object) -> None:
    try:
        genotype = Genotype.from_json(document)
    except LnasError:
        return
    assert Genotype.from_json(genotype.to_json()) == genotype


@given(
    st.text() | st.text(st.sampled_from('[]{}",:012 abgenshmouptr')) | GENOTYPES.map(lambda made: json.dumps(made.to_json())[:-3])
)
def test_nothing_but_an_lnas_error_comes_out_of_any_text(text: str) -> None:
    try:
        made = Genotype.loads(text)
    except GenotypeError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert Genotype.loads(json.dumps(made.to_json())) == made


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"schema": True, "groups": {}}, "genotype schema True"),
        ({"schema": 1.0, "groups": {}}, "genotype schema 1.0"),
        (
            {"schema": 1, "groups": {str(index): {"genes": []} for index in range(1001)}},
            "the genotype has 1,001 groups; at most 1,000",
        ),
        ({"schema": 1, "groups": {"x" * 1001: {"genes": []}}}, "a name is text of at most 1000 characters"),
        ({"schema": 1, "groups": {"a": {"genes": [["x" * 1001, 0, 1]]}}}, "an operation has 1,001 characters; at most 1000"),
        ({"schema": 1, "groups": {"a": {"genes": [], "output": [0] * (MOST_GENES + 1)}}}, '"output" is a list of node numbers'),
        (
            {"schema": 1, "groups": {n: {"genes": [["x", 0, 1]] * (MOST_GENES // 2 + 1)} for n in "ab"}},
            "at most 10000 in all groups",
        ),
        ({"schema": 1, "groups": {"a": {"genes": [["x", 0, 1000]]}}}, "is no gene"),
    ],
)
def test_a_limit_is_named(document: object, says: str) -> None:
    with pytest.raises(GenotypeError) as caught:
        Genotype.from_json(document)
    assert says in str(caught.value) and len(str(caught.value)) < 300
