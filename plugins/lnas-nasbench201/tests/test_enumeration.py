"""The 15,625 strings, and that importing their iterator is cheap."""

import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import lnas_nasbench201
import pytest
from lnas_nasbench201 import architectures

import lnas

ROOT = Path(__file__).parent.parent


def test_there_are_15625_strings_in_the_order_of_the_operations() -> None:
    texts = list(architectures())
    assert len(texts) == len(set(texts)) == 5**6
    assert texts[0] == "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert texts[1] == "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
    assert texts[5] == "|none~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
    assert texts[5**5] == "|skip_connect~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert texts[-1] == "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|"


def test_every_string_is_read_as_the_cell_that_it_says(of) -> None:
    names = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    for text, operations in zip(architectures(), itertools.product(names, repeat=6), strict=True):
        assert lnas.parse_nasbench201(text) == of(operations)
        assert lnas.unparse_nasbench201(of(operations)) == text


def test_the_plugin_offers_the_space_without_torch() -> None:
    host = lnas.Host([lnas_nasbench201], entry_points=False)
    assert host.warnings == ()
    assert [(part.kind, part.name) for part in host.plugins[-1].components] == [("space", "nasbench201")]
    assert host.registry.get("space", "nasbench201").load() is lnas_nasbench201.NasBench201Space
    code = (
        "import sys, lnas_nasbench201 as n; assert sum(1 for _ in n.architectures()) == 15625; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(AttributeError, match="module 'lnas_nasbench201' has no attribute 'NasBench101Space'"):
        lnas_nasbench201.NasBench101Space  # noqa: B018


def test_every_public_name_is_there_and_the_distribution_names_the_module() -> None:
    assert list(lnas_nasbench201._MODULE_OF) == lnas_nasbench201.__all__ == sorted(lnas_nasbench201.__all__)
    for name, module in lnas_nasbench201._MODULE_OF.items():
        assert getattr(lnas_nasbench201, name).__module__ == module
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["lnas"] == {"nasbench201": "lnas_nasbench201"}


def test_the_readme_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
