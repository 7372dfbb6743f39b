import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnas.core.errors import ConfigError
from lnas.host.spec import Spec, format_options, has_control, parse_options

SPECS = [
    ("darts", Spec("darts")),
    ("darts,unrolled=exact", Spec("darts", None, {"unrolled": "exact"})),
    ("alpha:iterative,sparsity=0.75,rounds=10", Spec("alpha", "iterative", {"sparsity": "0.75", "rounds": "10"})),
    ("lnas/theta:extras/cubic", Spec("lnas/theta", "extras/cubic")),
    ("folder,root=/a/b=c:d", Spec("folder", None, {"root": "/a/b=c:d"})),
    (r"folder,root=C:\new\,x,size=8", Spec("folder", None, {"root": r"C:\new,x", "size": "8"})),
    (r"folder,root=\\server\share", Spec("folder", None, {"root": r"\\server\share"})),
    ("folder,root=C:\\\\,size=8", Spec("folder", None, {"root": "C:\\", "size": "8"})),
    ("folder,root=C:\\", Spec("folder", None, {"root": "C:\\"})),
    ("folder,root=", Spec("folder", None, {"root": ""})),
]


@pytest.mark.parametrize(("text", "spec"), SPECS, ids=[text for text, _ in SPECS])
def test_a_line_is_read_and_written(text: str, spec: Spec) -> None:
    assert Spec.parse(text) == spec
    assert str(spec) == text


def test_spaces_around_names_and_keys_do_not_matter() -> None:
    assert Spec.parse(" alpha : iterative , sparsity=0.5") == Spec("alpha", "iterative", {"sparsity": "0.5"})


NAMES = st.from_regex(r"([a-z0-9_][a-zA-Z0-9_.-]{0,5}/)?[a-z0-9_][a-zA-Z0-9_.-]{0,8}", fullmatch=True)
VALUES = st.one_of(
    st.text(st.sampled_from("\\,=:/ a"), max_size=8), st.text(max_size=12).filter(lambda text: not has_control(text))
)
OPTIONS = st.dictionaries(st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,6}", fullmatch=True), VALUES, max_size=5)


@given(NAMES, st.none() | NAMES, OPTIONS)
def test_what_is_written_reads_back(name: str, schedule: str | None, options: dict[str, str]) -> None:
    spec = Spec(name, schedule, options)
    assert Spec.parse(str(spec)) == spec
    assert list(Spec.parse(str(spec)).options) == list(options)


@given(OPTIONS)
def test_a_list_of_options_reads_back(options: dict[str, str]) -> None:
    assert parse_options(format_options(options)) == options


@given(st.text())
def test_any_text_is_a_specification_or_one_line_of_error(text: str) -> None:
    try:
        spec = Spec.parse(text)
    except ConfigError as error:
        assert not has_control(str(error))
    else:
        assert Spec.parse(str(spec)) == spec


BAD = {
    "": "the name is empty",
    " ": "the name is empty",
    ":iterative": "the name is empty",
    "alpha:": "the schedule is empty",
    "alpha:a:b": "'a:b' is no schedule; a name is letters, digits,",
    "a/b/c": "'a/b/c' is no name; a name is letters, digits,",
    "/darts": "'/darts' is no name",
    "-darts": "'-darts' is no name",
    "da rts": "'da rts' is no name",
    "lr=0.1": "'lr=0.1' does not begin with a name; write NAME,KEY=VALUE",
    "darts,": "an option without a key in 'darts,'; write KEY=VALUE",
    "darts,=1": "an option without a key in 'darts,=1'; write KEY=VALUE",
    "darts,unrolled": "option 'unrolled' has no value in 'darts,unrolled'; write unrolled=VALUE",
    "darts,a=1,a=2": "option 'a' is given twice in 'darts,a=1,a=2'",
    "darts,a b=1": "'a b' is no key; a key is letters, digits,",
    "darts,1=1": "'1' is no key",
    "darts,a=\x1b[31m": "option 'a' has a control character in its value '\\x1b[31m'",
    "darts,a=\x00": "option 'a' has a control character in its value '\\x00'",
    "darts,a=\u2028": "option 'a' has a control character in its value '\\u2028'",
    "darts,a=\udc80": "option 'a' has a control character in its value '\\udc80'",
    "d\nx": "'d\\nx' is no name",
    "darts,a=" + "x" * 9000: "a line of 9008 characters is too long; at most 8192",
    "darts," + ",".join(f"a{n}=1" for n in range(65)): "65 options are too many; at most 64",
}


@pytest.mark.parametrize(("text", "message"), BAD.items(), ids=[ascii(text)[:30] for text in BAD])
def test_a_bad_line_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Spec.parse(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_table_is_a_specification() -> None:
    table = {
        "name": "alpha",
        "schedule": "iterative",
        "sparsity": 0.5,
        "rounds": 3,
        "flag": True,
        "words": ["a", "b"],
        "text": "x,y",
    }
    options = {"sparsity": "0.5", "rounds": "3", "flag": "true", "words": "a+b", "text": "x,y"}
    assert Spec.from_table(table) == Spec("alpha", "iterative", options)
    assert Spec.of(table) == Spec.of(str(Spec.of(table))) == Spec.of(Spec.of(table))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, 'the table needs a "name" that is text, not None'),
        ({"name": 3}, 'the table needs a "name" that is text, not 3'),
        ({"name": ""}, "the name is empty"),
        ({"name": "a", "schedule": 1}, "the schedule must be text, not 1"),
        ({"name": "a", "b": {"c": 1}}, "b must be text, a number, true, false or a list of those, not {'c': 1}"),
        ({"name": "a", "b": [[1]]}, "b must be text, a number, true, false or a list of those, not [[1]]"),
        ({"name": "a", "b": ["x+y"]}, 'b: an item of a list may not hold "+", which separates the items'),
        ({"name": "a", "b": "x\ny"}, "option 'b' has a control character in its value 'x\\ny'"),
        (3, "must be NAME,KEY=VALUE or a table with a name, not 3"),
    ],
)
def test_a_bad_table_is_refused_with_the_reason(table: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Spec.of(table)
    assert str(caught.value) == message


def test_options_without_a_name() -> None:
    assert parse_options("lr=0.01,cutout=8") == {"lr": "0.01", "cutout": "8"}
    assert parse_options("") == {}
    with pytest.raises(ConfigError, match="option 'lr' has no value"):
        parse_options("lr")
    with pytest.raises(ConfigError, match="option 'lr' is given twice"):
        parse_options("lr=1,lr=2")
