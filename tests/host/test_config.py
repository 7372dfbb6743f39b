import tomllib
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnas.core.errors import ConfigError
from lnas.host.config import Config, merge, read_toml, to_toml
from lnas.host.epochs import Epochs, Length
from lnas.host.spec import Spec, has_control


def test_the_defaults_are_the_darts_baseline_on_digits() -> None:
    merged = merge()
    assert merged.config == Config(
        recipe="baseline",
        strategy=Spec("darts"),
        prune=(),
        space=Spec("cells"),
        data=Spec("digits"),
        epochs=Epochs(Length(10), Length(20)),
        batch=64,
        validation=0.1,
        train={},
        seed=0,
        device="auto",
        precision="float32",
        out="runs",
        name=None,
    )
    assert merged.origins == {f.name: "default" for f in fields(Config)}
    assert merged.config == Config()


def test_a_field_takes_any_form_and_holds_its_type() -> None:
    config = Config(
        strategy="darts,unrolled=exact",  # type: ignore[arg-type]
        prune="theta:one-shot",  # type: ignore[arg-type]
        space={"name": "cells", "layers": 3},  # type: ignore[arg-type]
        epochs="5",  # type: ignore[arg-type]
        batch="32",  # type: ignore[arg-type]
        validation="0.25",  # type: ignore[arg-type]
        train={"lr": 0.01, "flip": True},  # type: ignore[dict-item]
        out=Path("a") / "b",  # type: ignore[arg-type]
    )
    assert config.strategy == Spec("darts", None, {"unrolled": "exact"})
    assert config.space == Spec("cells", None, {"layers": "3"})
    assert (config.recipe, config.prune) == ("variant1", (Spec("theta", "one-shot"),))
    assert (config.epochs, config.batch, config.validation) == (Epochs(Length(5), Length(5)), 32, 0.25)
    assert (config.train, config.out) == ({"lr": "0.01", "flip": "true"}, str(Path("a") / "b"))
    with pytest.raises(FrozenInstanceError):
        config.batch = 3  # type: ignore[misc]


NAMED = (
    "name must be 1 to 100 of the letters a-z and A-Z, digits, '.', '_' and '-', and begin with a letter, a digit or '_', not "
)

BAD = [
    ("recipe", "a b", "recipe: 'a b' is no recipe; a name is letters, digits,"),
    ("recipe", 3, "recipe must be text, not 3"),
    ("strategy", "", "strategy: the name is empty"),
    ("strategy", "darts:iterative", "strategy: darts:iterative has a schedule, which only a prune line takes"),
    ("strategy", 3, "strategy must be NAME,KEY=VALUE or a table with a name, not 3"),
    ("prune", ["alpha:iterative", 3], "prune must be NAME,KEY=VALUE or a table with a name, not 3"),
    ("space", {"layers": 3}, 'space: the table needs a "name" that is text, not None'),
    ("epochs", "0:20", "epochs must be SEARCH:TRAIN, or one value for both,"),
    ("epochs", 10.0, "epochs must be SEARCH:TRAIN, or one value for both,"),
    ("batch", 0, "batch must be at least 1, not 0"),
    ("batch", "many", "batch must be a whole number, not 'many'"),
    ("batch", 1.5, "batch must be a whole number, not 1.5"),
    ("batch", True, "batch must be a whole number, not True"),
    ("validation", 0, "validation must be between 0 and 1, both excluded, not 0"),
    ("validation", "1", "validation must be between 0 and 1, both excluded, not 1"),
    ("validation", "nan", "validation must be a finite number, not 'nan'"),
    ("train", 3, "train must be KEY=VALUE,... or a table, not 3"),
    ("train", {"lr": {}}, "train: lr must be text, a number, true, false or a list of those, not {}"),
    ("train", "lr", "train: option 'lr' has no value in 'lr'; write lr=VALUE"),
    ("seed", -1, "seed must be from 0 to 9223372036854775807, not -1"),
    ("seed", 2**63, "seed must be from 0 to 9223372036854775807, not 9223372036854775808"),
    ("seed", "abc", "seed must be a whole number, not 'abc'"),
    ("device", "my gpu", "device must be auto, cpu, cuda, cuda:N or another device of torch, not 'my gpu'"),
    ("device", 0, "device must be auto, cpu, cuda, cuda:N or another device of torch, not 0"),
    ("precision", "float16", "precision must be float32, tf32, bf16 or float64, not 'float16'"),
    ("deterministic", "maybe", "deterministic must be true or false, not 'maybe'"),
    ("on_nan", "rollback:x", "on_nan must be stop or rollback:N, with N from 1 to 1000, not 'rollback:x'"),
    ("keep", 0, "keep must be from 1 to 1000, not 0"),
    ("keep", "many", "keep must be a whole number, not 'many'"),
    ("precision", [], "precision must be float32, tf32, bf16 or float64, not []"),
    ("out", "", "out must be a folder, not ''"),
    ("out", "a\x00", "out must be a folder, not 'a\\x00'"),
    ("out", 3, "out must be text, not 3"),
    ("name", "../x", NAMED + "'../x'"),
    ("name", "[/x]", NAMED + "'[/x]'"),
    ("name", "a\\b", NAMED + "'a\\\\b'"),
    ("name", "..", NAMED + "'..'"),
    ("name", ".", NAMED + "'.'"),
    ("name", "", NAMED + "''"),
    ("name", "a\x1b[31m", NAMED + "'a\\x1b[31m'"),
    ("name", "a\u202eb", NAMED + "'a\\u202eb'"),
    *(("name", name, NAMED) for name in ("x" * 300, "\U0001f600" * 90, "<script>", "a b", "größe", "..a", "$(id)", "-x", "a\n")),
    ("name", 5, "name must be text, not 5"),
]


@pytest.mark.parametrize(("key", "value", "message"), BAD, ids=lambda value: ascii(value)[:30])
def test_a_bad_value_is_refused_wherever_it_comes_from(key: str, value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(**{key: value})  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        merge(command_line={key: value})
    assert str(caught.value).startswith(f"--{message.replace(key, key.replace('_', '-'), 1)}")


@pytest.mark.parametrize("name", ["a", "x" * 100, "0", "_a.b-C", "a..b"])
def test_a_run_may_be_called_by_any_plain_name(name: str) -> None:
    assert Config(name=name).name == name


# ---- files -------------------------------------------------------------------------------------------------------------


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_may_use_lines_or_tables(tmp_path: Path) -> None:
    tables = """
        batch = 32
        epochs = 5
        [space]
        name = "cells"
        operations = ["none", "skip_connect"]
        [[prune]]
        name = "alpha"
        schedule = "iterative"
        sparsity = 0.75
        [train]
        lr = 0.01
    """
    same = """
        batch = 32
        epochs = "5:5"
        space = "cells,operations=none+skip_connect"
        prune = ["alpha:iterative,sparsity=0.75"]
        train = "lr=0.01"
    """
    config = merge(read_toml(write(tmp_path, tables))).config
    assert config == merge(read_toml(write(tmp_path, same))).config
    assert config.recipe == "variant2"
    assert config.prune == (Spec("alpha", "iterative", {"sparsity": "0.75"}),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'stratgy = "darts"',
            ": unknown key 'stratgy'; did you mean 'strategy'? there are: batch, cost, data, deterministic, device, ",
        ),
        ("batch = true", ": batch must be a whole number, not True"),
        ("batch = nan", ": batch must be a whole number, not nan"),
        ("seed = 1979-05-27", ": seed must be a whole number, not datetime.date(1979, 5, 27)"),
        ("validation = nan", ": validation must be a finite number, not nan"),
        ('precision = "half"', ": precision must be float32, tf32, bf16 or float64, not 'half'"),
        ("[space]\nlayers = 3", ': space: the table needs a "name" that is text, not None'),
        ("prune = 3", ": prune must be NAME,KEY=VALUE or a table with a name, not 3"),
        ('space = "cells,layers"', ": space: option 'layers' has no value in 'cells,layers'; write layers=VALUE"),
        ("sparsity = 0.5", ': sparsity belongs to a prune line, e.g. prune = ["theta:one-shot,sparsity=0.5"]'),
        ("seed = ", " is not TOML: Invalid value (at end of document)"),
    ],
)
def test_a_bad_file_names_itself_and_the_key(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{path}{message}")


PLAIN = st.text(max_size=8).filter(lambda text: not has_control(text))
OPTIONS = st.dictionaries(
    st.from_regex(r"[a-z_]{1,6}", fullmatch=True), PLAIN | st.sampled_from(["1", "0.5", "true", "01", "1e-3", "nan"]), max_size=3
)
PARTS = st.builds(Spec, st.from_regex(r"[a-z]{1,6}", fullmatch=True), st.none(), OPTIONS)
LINES = st.builds(Spec, st.from_regex(r"[a-z]{1,6}", fullmatch=True), st.sampled_from(["one-shot", "iterative"]), OPTIONS)
LENGTHS = st.builds(Length, st.integers(1, 10**6), st.sampled_from(["ep", "it"]))
CONFIGS = st.builds(
    Config,
    strategy=PARTS,
    prune=st.lists(LINES, max_size=3, unique_by=lambda line: line.name).map(tuple),
    space=PARTS,
    data=PARTS,
    epochs=st.builds(Epochs, LENGTHS, LENGTHS),
    batch=st.integers(1, 10**9),
    validation=st.floats(0, 1, exclude_min=True, exclude_max=True),
    train=OPTIONS,
    seed=st.integers(0, 2**63 - 1),
    device=st.sampled_from(["auto", "cpu", "cuda:1"]),
    precision=st.sampled_from(["float32", "bf16"]),
    deterministic=st.booleans(),
    on_nan=st.sampled_from(["stop", "rollback:3"]),
    keep=st.integers(1, 1000),
    out=PLAIN.filter(bool),
    name=st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", fullmatch=True),
)


@given(CONFIGS)
def test_a_configuration_is_written_and_read_back(tmp_path_factory: pytest.TempPathFactory, config: Config) -> None:
    path = tmp_path_factory.mktemp("round") / "config.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert merge(read_toml(path)).config == config


def test_a_written_configuration_reads_well() -> None:
    config = merge(command_line={"recipe": "variant1", "sparsity": "0.5", "train": "lr=0.01,flip=true", "seed": "3"}).config
    assert to_toml(config).splitlines() == [
        'recipe = "variant1"',
        'strategy = "darts"',
        'prune = ["theta:one-shot,sparsity=0.5"]',
        'space = "cells"',
        'data = "digits"',
        'epochs = "10:20"',
        "batch = 64",
        "validation = 0.1",
        "seed = 3",
        'device = "auto"',
        'precision = "float32"',
        "deterministic = true",
        'on_nan = "stop"',
        "keep = 2",
        "observe = []",
        "cost = []",
        'out = "runs"',
        "",
        "[train]",
        "lr = 0.01",
        "flip = true",
    ]
    assert tomllib.loads(to_toml(config))["train"] == {"lr": 0.01, "flip": True}


# ---- merging -----------------------------------------------------------------------------------------------------------


def test_a_later_source_wins_and_every_value_knows_where_it_came_from(tmp_path: Path) -> None:
    path = write(tmp_path, 'batch = 16\nseed = 1\ndevice = "cpu"\n[train]\nlr = 0.1\nclip = 1\n')
    environment = {
        "LNAS_SEED": "2",
        "LNAS_TRAIN": "lr=0.2",
        "LNAS_PRUNE": "alpha:iterative; theta:one-shot",
        "LNAS_OUT": "",
        "HOME": "x",
    }
    merged = merge(
        read_toml(path), environment, {"seed": 3, "train": "momentum=0.5", "name": None, "prune": ()}, {"batch": 8, "epochs": "3"}
    )
    config = merged.config
    assert (config.batch, config.seed, config.device, config.epochs) == (16, 3, "cpu", Epochs.of("3"))
    assert config.train == {"lr": "0.2", "clip": "1", "momentum": "0.5"}
    assert config.prune == (Spec("alpha", "iterative"), Spec("theta", "one-shot"))
    assert merged.origins == {
        "recipe": "environment LNAS_PRUNE",
        "strategy": "default",
        "prune": "environment LNAS_PRUNE",
        "space": "default",
        "data": "default",
        "epochs": "data set digits",
        "batch": f"file {path}",
        "validation": "default",
        "train": "command line",
        "train.lr": "environment LNAS_TRAIN",
        "train.clip": f"file {path}",
        "train.momentum": "command line",
        "seed": "command line",
        "device": f"file {path}",
        "precision": "default",
        "deterministic": "default",
        "on_nan": "default",
        "keep": "default",
        "observe": "default",
        "cost": "default",
        "plugins": "default",
        "out": "default",
        "name": "default",
    }


ENVIRONMENT = {
    "recipe": "variant1",
    "strategy": "random",
    "space": "cells,layers=3",
    "data": "folder,root=x",
    "epochs": "1:2",
    "batch": "8",
    "validation": "0.5",
    "train": "lr=1",
    "seed": "9",
    "device": "cpu",
    "precision": "bf16",
    "deterministic": "false",
    "on_nan": "rollback:2",
    "keep": "3",
    "out": "o",
}


@pytest.mark.parametrize(("key", "text"), ENVIRONMENT.items())
def test_the_environment_is_the_same_as_the_command_line(key: str, text: str) -> None:
    merged = merge(environment={f"LNAS_{key.upper()}": text})
    assert merged.config == merge(command_line={key: text}).config != Config()
    assert merged.origins[key] == f"environment LNAS_{key.upper()}"


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^LNAS_BATCH must be at least 1, not 0$"):
        merge(environment={"LNAS_BATCH": "0"})
    with pytest.raises(ConfigError, match=r"^there is no environment variable LNAS_SEEDS; did you mean LNAS_SEED\?$"):
        merge(environment={"LNAS_SEEDS": "1"})
    assert merge(environment={"LNAS_CACHE_OF_SOMEBODY": "x"}).config == Config()


def test_an_unknown_key_on_the_command_line_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown key 'sede'; did you mean 'seed'"):
        merge(command_line={"sede": 1})


SUGGESTED = {"space": {"channels": 8, "layers": 5}, "batch": 32}


@pytest.mark.parametrize(
    ("layers", "space"),
    [
        ([], "cells,channels=8,layers=5"),
        ([(2, "cells,layers=3")], "cells,channels=8,layers=3"),
        ([(2, "lnas/cells,layers=3")], "lnas/cells,channels=8,layers=3"),
        ([(2, "choices")], "choices"),
        ([(2, "extras/cells")], "extras/cells"),
        ([(1, "cells,nodes=2"), (2, "cells,layers=3")], "cells,channels=8,layers=3,nodes=2"),
        ([(1, "choices,a=1"), (2, "cells,layers=3")], "cells,channels=8,layers=3"),
        ([(1, "cells,nodes=2"), (2, "choices,a=1")], "choices,a=1"),
    ],
)
def test_options_merge_only_within_the_same_part(layers: list[tuple[int, str]], space: str) -> None:
    given = {place: text for place, text in layers}
    environment = {"LNAS_SPACE": given[1]} if 1 in given else {}
    merged = merge(None, environment, {"space": given.get(2)}, SUGGESTED)
    assert merged.config.space == Spec.parse(space)
    assert {key.removeprefix("space.") for key in merged.origins if key.startswith("space.")} == set(merged.config.space.options)


def test_the_origin_of_each_option_is_kept() -> None:
    origins = merge(None, {}, {"space": "cells,layers=3"}, SUGGESTED).origins
    assert (origins["space"], origins["space.channels"], origins["space.layers"]) == (
        *("command line", "data set digits", "command line"),
    )
    assert merge(None, {}, {"data": "folder,root=x"}, SUGGESTED).origins["batch"] == "data set folder"


def test_a_suggestion_may_name_another_part() -> None:
    config = merge(None, {}, {}, {"space": "choices,width=3", "strategy": {"name": "random", "lr": 0.1}}).config
    assert (config.space, config.strategy) == (Spec.parse("choices,width=3"), Spec.parse("random,lr=0.1"))


@pytest.mark.parametrize(
    ("suggested", "message"),
    [
        (
            {"seed": 1},
            "data set digits suggests 'seed'; a data set may suggest strategy, space, epochs, batch, validation, train",
        ),
        ({"batch": 0}, "data set digits: suggested batch must be at least 1, not 0"),
    ],
)
def test_a_data_set_may_not_suggest_everything(suggested: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        merge(suggested=suggested)
    assert str(caught.value) == message


PARTIAL = {"space": {"partial": 4}, "batch": 256, "train": {"lr": 0.1}}


def test_a_strategy_suggests_above_the_data_set_and_below_the_user(tmp_path: Path) -> None:
    data = {"space": {"channels": 8, "partial": 2}, "batch": 32, "epochs": "3", "strategy": "random"}
    merged = merge(None, {}, {}, data, PARTIAL)
    assert str(merged.config.space) == "cells,channels=8,partial=4"
    assert (merged.config.batch, merged.config.epochs, merged.config.train) == (256, Epochs.of("3"), {"lr": "0.1"})
    origins = {key: merged.origins[key] for key in ("space.channels", "space.partial", "batch", "epochs", "train.lr")}
    assert list(origins.values()) == ["data set digits", *["strategy random"] * 2, "data set digits", "strategy random"]
    said = merge(read_toml(write(tmp_path, "[train]\nlr = 1")), {"LNAS_BATCH": "8"}, {"space": "cells,partial=1"}, data, PARTIAL)
    assert (str(said.config.space), said.config.batch, said.config.train) == ("cells,channels=8,partial=1", 8, {"lr": "1"})
    assert said.origins["space.partial"] == "command line"


@pytest.mark.parametrize(
    ("data", "user", "space"),
    [
        ({}, None, "cells,partial=4"),
        ({}, "lnas/cells,layers=3", "lnas/cells,partial=4,layers=3"),
        ({}, "choices", "choices"),
        ({}, "extras/cells", "extras/cells"),
        ({"space": "choices,a=1"}, None, "choices,a=1"),
        ({"space": "choices,a=1"}, "cells,layers=3", "cells,partial=4,layers=3"),
        ({"space": "choices,a=1"}, "choices,b=1", "choices,a=1,b=1"),
    ],
)
def test_what_a_strategy_suggests_for_cells_is_for_cells_alone(data: dict[str, object], user: str | None, space: str) -> None:
    merged = merge(None, {}, {"space": user}, data, PARTIAL)
    assert merged.config.space == Spec.parse(space)
    assert ("space.partial" in merged.origins) == ("partial" in merged.config.space.options)
    assert merged.config.batch == 256


def test_a_strategy_may_suggest_another_space_but_not_everything() -> None:
    assert merge(by_strategy={"space": {"name": "mine", "a": 1}}).config.space == Spec.parse("mine,a=1")
    with pytest.raises(ConfigError) as caught:
        merge(by_strategy={"strategy": "random"})
    assert str(caught.value) == (
        "strategy darts suggests 'strategy'; a strategy may suggest space, epochs, batch, validation, train"
    )
    with pytest.raises(ConfigError, match="^strategy darts: suggested batch must be at least 1, not 0$"):
        merge(by_strategy={"batch": 0})


# ---- recipes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "prune"),
    [
        ("variant1", ["theta:one-shot,sparsity=0.5"]),
        ("variant2", ["alpha:iterative,sparsity=0.5"]),
        ("generalized", ["alpha:iterative,sparsity=0.5", "theta:iterative,sparsity=0.5"]),
    ],
)
def test_a_recipe_with_a_sparsity_is_the_run_that_its_lines_spell_out(recipe: str, prune: list[str]) -> None:
    short = merge(command_line={"recipe": recipe, "sparsity": "0.5"})
    long = merge(command_line={"prune": prune})
    assert short.config == long.config
    assert to_toml(short.config) == to_toml(long.config)
    assert short.config.recipe == recipe
    assert short.origins["prune.sparsity"] == "command line"


def test_the_recipe_is_always_resolved() -> None:
    assert merge(command_line={"recipe": "baseline"}).config == merge().config == Config(recipe="baseline")
    assert (
        merge(command_line={"recipe": "lnas/variant1"}).config
        == Config(recipe="variant1")
        == Config(prune=(Spec("theta", "one-shot"),))
    )
    assert merge(command_line={"recipe": "extras/mine", "prune": ["alpha:cubic"]}).config.recipe == "extras/mine"
    assert replace(Config(), prune=(Spec("alpha", "iterative"),), recipe=None).recipe == "variant2"


FILE = 'recipe = "variant1"\nprune = ["theta:one-shot,sparsity=0.3,importance=random"]\n'


@pytest.mark.parametrize(
    ("given", "recipe", "prune"),
    [
        ({}, "variant1", ["theta:one-shot,sparsity=0.3,importance=random"]),
        ({"prune": ["alpha:iterative"]}, "variant2", ["alpha:iterative"]),
        ({"recipe": "variant2"}, "variant2", ["alpha:iterative"]),
        ({"recipe": "baseline"}, "baseline", []),
        ({"recipe": "variant1"}, "variant1", ["theta:one-shot,sparsity=0.3,importance=random"]),
        ({"sparsity": "0.7"}, "variant1", ["theta:one-shot,importance=random,sparsity=0.7"]),
        ({"recipe": "variant1", "sparsity": "0.7"}, "variant1", ["theta:one-shot,importance=random,sparsity=0.7"]),
        ({"recipe": "variant2", "sparsity": "0.7"}, "variant2", ["alpha:iterative,sparsity=0.7"]),
        ({"recipe": "mine"}, "mine", ["theta:one-shot,sparsity=0.3,importance=random"]),
    ],
)
def test_the_command_line_overrules_recipe_and_lines_of_a_file(
    given: dict[str, object], recipe: str, prune: list[str], tmp_path: Path
) -> None:
    config = merge(read_toml(write(tmp_path, FILE)), {}, given).config
    assert (config.recipe, config.prune) == (recipe, tuple(map(Spec.parse, prune)))


def test_a_plugins_recipe_keeps_its_name_under_new_lines(tmp_path: Path) -> None:
    file = read_toml(write(tmp_path, 'recipe = "mine"\nprune = ["theta:one-shot"]'))
    config = merge(file, {}, {"prune": ["alpha:iterative"]}).config
    assert (config.recipe, config.prune) == ("mine", (Spec("alpha", "iterative"),))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recipe": "variant1", "prune": ["alpha:iterative"]}, "recipe variant1 contradicts the prune lines alpha:iterative"),
        ({"sparsity": "0.5"}, "sparsity 0.5 has nothing to prune"),
        ({"recipe": "baseline", "sparsity": "0.5"}, "sparsity 0.5 has nothing to prune"),
        ({"prune": ["theta:one-shot,sparsity=0.1"], "sparsity": "0.5"}, "sparsity 0.5 contradicts the prune line theta:one-shot"),
        ({"recipe": "variant1", "sparsity": "half"}, "sparsity must be a number in [0, 1), not 'half'"),
        ({"prune": ["theta:one-shot", "theta:iterative"]}, "theta has 2 prune lines; a target has one"),
    ],
)
def test_what_contradicts_itself_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        merge(command_line=given)
    assert str(caught.value).startswith(message)
