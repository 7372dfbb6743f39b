import random
import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from lnas.builtin import genotypes
from lnas.core.genotype import Gene, Genotype
from lnas.report.cells import draw_cell, equations, fits_a_page

SVG = "{http://www.w3.org/2000/svg}"
OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
TINY = Genotype(
    {
        "normal": (
            Gene("sep_conv_3x3", 0, 2),
            Gene("skip_connect", 1, 2),
            Gene("max_pool_3x3", 0, 3),
            Gene("sep_conv_5x5", 2, 3, 0.25),
        )
    },
    {"normal": (2, 3)},
)
CHOICE = Genotype({"stem": (Gene("conv3", 0, 1),)}, {"stem": ()})

Box = tuple[float, float, float, float]


def dense() -> Genotype:
    """Every operation on every edge: what a search that pruned nothing keeps."""
    genes = tuple(Gene(operation, source, node) for node in range(2, 6) for source in range(node) for operation in OPERATIONS)
    return Genotype({"normal": genes}, {"normal": (2, 3, 4, 5)})


def drawn_at_random(seed: int) -> Genotype:
    draw = random.Random(seed)
    nodes = draw.randint(1, 7)
    genes = [
        Gene(draw.choice(OPERATIONS), source, node, draw.choice([1.0, 0.123]))
        for node in range(2, 2 + nodes)
        for source in sorted(draw.sample(range(node), draw.randint(1, node)))
        for _ in range(draw.randint(1, 3))
    ]
    return Genotype({"g": tuple(genes)}, {"g": tuple(range(2 + draw.randrange(nodes), 2 + nodes))})


CASES = {
    **{f"{name} {group}": (g, group) for name, g in genotypes.GENOTYPES.items() for group in g.groups},
    **{f"random {seed}": (drawn_at_random(seed), "g") for seed in range(20)},
    "dense": (dense(), "normal"),
    "tiny": (TINY, "normal"),
    "choice": (CHOICE, "stem"),
}


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def boxes(root: ElementTree.Element, kind: str) -> list[Box]:
    found = (r.attrib for r in root.iter(f"{SVG}rect") if r.attrib["class"].split()[0] == kind)
    return [(float(a["x"]), float(a["y"]), float(a["x"]) + float(a["width"]), float(a["y"]) + float(a["height"])) for a in found]


def captions(root: ElementTree.Element) -> list[tuple[float, float, str]]:
    found = (t for t in root.iter(f"{SVG}text") if t.attrib.get("class") == "op")
    return [(float(t.attrib["x"]), float(t.attrib["y"]), t.text or "") for t in found]


def points(root: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """Each drawn line as points close to each other."""
    lines = []
    for path in root.iter(f"{SVG}path"):
        if path.attrib["class"] != "wire":
            continue
        here: tuple[float, float] = (0, 0)
        for command, numbers in re.findall(r"([MHVQC])([^MHVQC]*)", path.attrib["d"]):
            n = [float(number) for number in re.findall(r"-?[\d.]+", numbers)]
            if command == "M":
                here = (n[0], n[1])
                continue
            ends = {"H": [(n[0], here[1])], "V": [(here[0], n[0])]}.get(command) or list(zip(n[::2], n[1::2], strict=True))
            control = [here, *ends]
            lines.append([bezier(control, step / 50) for step in range(51)])
            here = control[-1]
    return lines


def bezier(control: list[tuple[float, float]], t: float) -> tuple[float, float]:
    while len(control) > 1:
        control = [((1 - t) * a[0] + t * b[0], (1 - t) * a[1] + t * b[1]) for a, b in pairwise(control)]
    return control[0]


@pytest.mark.parametrize(("genotype", "group"), CASES.values(), ids=CASES)
def test_a_person_can_read_every_operation(genotype: Genotype, group: str) -> None:
    root = parse(draw_cell(genotype, group))
    shown = sorted(text.split(" ×")[0] for _, _, text in captions(root))
    assert shown == sorted(gene.operation for gene in genotype.groups[group])

    left, top, width, height = map(float, root.attrib["viewBox"].split())
    everything = [*boxes(root, "box"), *boxes(root, "node")]
    assert all(left <= b[0] and top <= b[1] and b[2] <= left + width and b[3] <= top + height for b in everything)
    for one, other in combinations(everything, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    for x, y, text in captions(root):  # 6.7 px a character of 11 px monospace
        assert any(b[0] < x and x + 6.7 * len(text) < b[2] and b[1] < y - 6 and y + 6 < b[3] for b in boxes(root, "box"))


@pytest.mark.parametrize(("genotype", "group"), CASES.values(), ids=CASES)
def test_no_line_passes_through_a_box_or_out_of_the_picture(genotype: Genotype, group: str) -> None:
    root = parse(draw_cell(genotype, group))
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    blocks = [*boxes(root, "box"), *boxes(root, "node")]
    for line in points(root):
        for x, y in line:
            assert left < x < left + width and top < y < top + height
            assert not any(b[0] + 0.1 < x < b[2] - 0.1 and b[1] + 0.1 < y < b[3] - 0.1 for b in blocks)


@pytest.mark.parametrize(("genotype", "group"), CASES.values(), ids=CASES)
def test_there_is_a_box_an_edge_and_an_arrow_into_each_node(genotype: Genotype, group: str) -> None:
    root = parse(draw_cell(genotype, group))
    edges = {(gene.source, gene.node) for gene in genotype.groups[group]}
    assert len(boxes(root, "box")) == len(edges)
    tips = sum(path.attrib["class"] == "tip" for path in root.iter(f"{SVG}path"))
    assert tips == len(edges) + len(set(genotype.outputs.get(group, ())))


def test_a_cell_has_the_outputs_of_the_two_cells_before_it_as_inputs() -> None:
    root = parse(draw_cell(TINY, "normal"))
    names = ["".join(text.itertext()) for text in root.iter(f"{SVG}text") if "class" not in text.attrib]
    assert names == ["ck−2", "ck−1", "2", "3", "concatenation → ck"]


def test_a_choice_goes_from_input_to_output() -> None:
    names = ["".join(text.itertext()) for text in parse(draw_cell(CHOICE, "stem")).iter(f"{SVG}text")]
    assert names == ["input", "conv3", "output"]


def test_kinds_of_operation_and_weights_are_shown() -> None:
    root = parse(draw_cell(TINY, "normal"))
    assert (len(boxes(root, "free")), len(boxes(root, "learns"))) == (2, 2)
    assert "sep_conv_5x5 ×0.25" in [text for _, _, text in captions(root)]


def test_a_node_that_does_not_reach_the_output_is_dashed() -> None:
    used = Genotype({"g": (Gene("a", 0, 2), Gene("b", 1, 3))}, {"g": (2, 3)})
    unused = Genotype(used.groups, {"g": (3,)})
    assert 'node dead"' not in draw_cell(used, "g")
    dashed = [c.attrib for c in parse(draw_cell(unused, "g")).iter(f"{SVG}circle") if "dead" in c.attrib["class"]]
    assert len(dashed) == 1
    assert draw_cell(unused, "g").count('class="node dead"') == 2  # node 2, and input 0 that only it uses


def test_a_node_without_input_is_named() -> None:
    assert "no input" in draw_cell(Genotype({"g": (Gene("a", 0, 2), Gene("b", 1, 4))}, {"g": (2, 3, 4)}), "g")


def test_names_are_escaped_and_cut() -> None:
    name = '<script>"&' + "x" * 300
    svg = draw_cell(Genotype({name: (Gene(name, 0, 1),)}), name)
    assert "<script" not in svg
    ((_, _, caption),) = captions(parse(svg))
    assert caption.startswith('<script>"&x') and len(caption) == 28


def test_a_group_without_genes_is_drawn() -> None:
    names = [text.text for text in parse(draw_cell(Genotype({"g": ()}, {"g": ()}), "g")).iter(f"{SVG}text")]
    assert names == ["input"]


def test_the_same_in_words() -> None:
    assert equations(TINY, "normal") == (
        "2 = sep_conv_3x3(c_{k-2}) + skip_connect(c_{k-1})",
        "3 = max_pool_3x3(c_{k-2}) + 0.25·sep_conv_5x5(2)",
        "output = concatenation of 2, 3",
    )
    assert equations(CHOICE, "stem") == ("1 = conv3(input)",)


def test_what_nobody_could_read_does_not_fit_a_page() -> None:
    assert fits_a_page(dense(), "normal")
    assert not fits_a_page(Genotype({"g": (Gene("a", 0, 5000),)}), "g")
    assert not fits_a_page(Genotype({"g": (Gene("a", 0, 1),) * 9000}), "g")
