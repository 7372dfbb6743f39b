import re
from xml.etree import ElementTree

from matplotlib.figure import Figure

from lnas.report import svg


def draw(figure: Figure) -> None:
    axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
    axes.plot([0, 1], [0, 1], color=svg.TRAIN)
    axes.set_title('$x^2$ id="a" url(#b) <script>')


def test_the_ids_of_two_drawings_differ_and_their_references_hold() -> None:
    drawings = [svg.drawing(300, 200, name=name, label="l", draw=draw) for name in ("one", "two")]
    ids = [set(re.findall(r'<[^>]*\bid="([^"]+)"', drawing)) for drawing in drawings]
    assert ids[0] and not ids[0] & ids[1]
    for drawing, own in zip(drawings, ids, strict=True):
        references = set(re.findall(r'<[^>]*(?:href="#|url\(#)([^")]+)', drawing))
        assert references and references <= own


def test_text_is_neither_read_as_a_formula_nor_changed() -> None:
    root = ElementTree.fromstring(svg.drawing(300, 200, name="n", label="l", draw=draw))
    assert '$x^2$ id="a" url(#b) <script>' in [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_colours_are_those_of_the_page_and_sizes_are_pixels() -> None:
    drawing = svg.drawing(300, 200, name="n", label='a "label" <b>', draw=draw)
    assert "var(--train)" in drawing and "var(--muted)" in drawing
    assert not re.search(r"#0[1-6]0[1-6]0[1-6]", drawing)
    assert 'width="300" height="200" viewBox="0 0 300 200"' in drawing
    assert 'aria-label="a &quot;label&quot; &lt;b&gt;"' in drawing
    assert "metadata" not in drawing and "<!--" not in drawing


def test_a_drawing_is_the_same_each_time() -> None:
    assert svg.drawing(300, 200, name="n", label="l", draw=draw) == svg.drawing(300, 200, name="n", label="l", draw=draw)


def test_characters_that_the_drawing_font_lacks_are_written_out() -> None:
    assert svg.drawable("é… 猫 \x1b[1m") == "é… \\u732b "
