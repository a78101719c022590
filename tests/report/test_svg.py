"""Figures: SVG that stands in a page, without styles, foreign names or doubled identifiers."""

import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from plainnet.report.svg import SERIES, Line, bars, cloud, lines

EPOCHS = np.arange(1, 101)
TWO = [Line("training", EPOCHS, 1 / EPOCHS), Line("validation", EPOCHS, 2 / EPOCHS)]


def drawn(**options):
    return lines("cost", "Cost", "It falls.", TWO, ("epoch", "cost"), **options)


DRAWINGS = {
    "lines": drawn(),
    "log": drawn(log=True, mark=50),
    "square": lines("roc", "ROC", "Good.", [Line("a", [0, 1], [0, 1])], ("x", "y"), square=True,
                    diagonal=True, dots=True),
    "cloud": cloud("fit", "Fit", "Near.", EPOCHS, EPOCHS + 1, ("true", "predicted")),
    "bars": bars("errors", "Errors", "Few.", [0, 1, 2], [3, 1], ("error", "rows")),
}  # fmt: skip
every = pytest.mark.parametrize("drawing", DRAWINGS.values(), ids=DRAWINGS)


@every
def test_it_is_plain_svg_with_words(drawing):
    root = ElementTree.fromstring(drawing.svg)
    assert (root.tag, root.get("role")) == ("svg", "img")
    title, desc = root.find("title"), root.find("desc")
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert (title.text, desc.text) == (drawing.title, drawing.says)
    allowed = {"svg", "title", "desc", "defs", "g", "path", "use", "text", "clipPath", "rect"}
    assert {element.tag for element in root.iter()} <= allowed


@every
def test_nothing_in_it_needs_a_style_a_font_or_a_request(drawing):
    for forbidden in ("style=", "<style", "font-family", "http", "<script", "<metadata", "xlink"):
        assert forbidden not in drawing.svg


@every
def test_identifiers_are_its_own_and_all_that_is_pointed_to_is_there(drawing):
    identifiers = re.findall(r' id="([^"]*)"', drawing.svg)
    assert len(identifiers) == len(set(identifiers))
    assert all(one.startswith(f"{drawing.name}-") for one in identifiers)
    pointed = re.findall(r'(?:url\(|")#([^")]*)', drawing.svg)
    assert set(pointed) <= set(identifiers)


@every
def test_all_colors_are_names(drawing):
    assert not re.search(r'(fill|stroke)="#', drawing.svg)
    assert 'class="f-ink"' in drawing.svg


def test_the_same_input_gives_the_same_bytes_whatever_the_settings(monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 9)
    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "path")
    before = dict(matplotlib.rcParams)
    assert drawn() == DRAWINGS["lines"]
    assert dict(matplotlib.rcParams) == before


def test_numbers_of_a_logarithmic_axis_are_written_out():
    words = [text.text for text in ElementTree.fromstring(DRAWINGS["log"].svg).iter("text")]
    assert {"0.01", "0.1", "1"} <= set(words)


def test_lines_differ_in_more_than_color():
    six = [Line(str(i), [0, 1], [i, i]) for i in range(SERIES)]
    assert len(set(lines("a", "b", "c", six, ("x", "y")).dashes)) == SERIES
    with pytest.raises(ValueError, match="a drawing holds 1 to 6 lines, got 7"):
        lines("a", "b", "c", [*six, six[0]], ("x", "y"))


def test_long_lines_are_thinned_with_their_ends():
    x = np.arange(100_000.0)
    svg = lines("a", "b", "c", [Line("l", x, np.sin(x))], ("x", "y")).svg
    assert len(svg) < 60_000
    assert len(svg) > 5_000


def test_one_point_is_seen():
    one = lines("a", "b", "c", [Line("l", [1], [0.5])], ("epoch", "cost"))
    assert re.search(r'<use [^>]*class="f-series1', one.svg)


def test_words_are_escaped():
    says = "<b>&\"'"
    svg = cloud("a", "<script>", says, [1, 2], [1, 2], ("x", "y")).svg
    assert "<script>" not in svg
    assert ElementTree.fromstring(svg).find("desc").text == says
