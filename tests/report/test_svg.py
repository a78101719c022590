"""Charts: SVG without styles or foreign names, with ticks that can be read."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from plainnet.report.svg import SERIES, Caption, Line, histogram, line_chart, scatter_plot

EPOCHS = np.arange(1, 101)
ABC = Caption("a", "A", "Description.", "x", "y")
EPOCH = ABC._replace(x_label="epoch")
TWO = [Line("training", EPOCHS, 1 / EPOCHS), Line("validation", EPOCHS, 2 / EPOCHS)]


def falling(**options):
    return line_chart(Caption("cost", "Cost", "It falls.", "epoch", "cost"), TWO, **options)


def one_line(x, y, **options):
    return line_chart(ABC, [Line("l", x, y)], **options)


CHARTS = {
    "lines": falling(),
    "log": falling(log=True, mark=50),
    "unit square": one_line([0, 1], [0, 1], unit_square=True, diagonal=True, dots=True),
    "scatter": scatter_plot(ABC, EPOCHS, EPOCHS + 1),
    "histogram": histogram(ABC, [0, 1, 2], [3, 1]),
}
every = pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)


def elements(chart, tag):
    return list(ElementTree.fromstring(chart.svg).iter(tag))


def texts(chart):
    return [text.text for text in elements(chart, "text")]


@every
def test_chart_is_plain_svg_with_title_and_description(chart):
    root = ElementTree.fromstring(chart.svg)
    assert (root.tag, root.get("role")) == ("svg", "img")
    title, desc = root.find("title"), root.find("desc")
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert (title.text, desc.text) == chart.caption[1:3]
    allowed = {"svg", "title", "desc", "g", "path", "circle", "rect", "text"}
    assert {element.tag for element in root.iter()} <= allowed


@every
def test_nothing_in_it_needs_a_style_a_font_or_a_request(chart):
    for forbidden in ("style=", "<style", "font-family", "http", "<script", "<metadata", "url("):
        assert forbidden not in chart.svg


@every
def test_identifiers_begin_with_the_name_of_the_chart(chart):
    identifiers = re.findall(r' id="([^"]*)"', chart.svg)
    assert len(identifiers) == len(set(identifiers)) == 2
    assert all(one.startswith(f"{chart.caption.name}-") for one in identifiers)


@every
def test_all_colors_come_from_the_page(chart):
    assert not re.search(r'(fill|stroke)="#', chart.svg)
    assert 'class="f-ink"' in chart.svg


@every
def test_every_mark_lies_within_the_chart(chart):
    width, height = map(float, ElementTree.fromstring(chart.svg).get("viewBox").split()[2:])
    for path in elements(chart, "path"):
        if path.get("class").startswith("s-series"):
            points = np.array([p.split() for p in path.get("d")[1:].split("L")], float)
            assert (points >= 0).all()
            assert (points <= [width, height]).all()
    for circle in elements(chart, "circle"):
        assert 0 <= float(circle.get("cx")) <= width
        assert 0 <= float(circle.get("cy")) <= height
    for rect in elements(chart, "rect"):
        assert 0 <= float(rect.get("x")) <= width - float(rect.get("width"))
        assert 0 <= float(rect.get("y")) <= height - float(rect.get("height"))


def test_same_input_gives_the_same_text():
    assert falling() == CHARTS["lines"]


def test_points_are_drawn_to_scale():
    path = next(p for p in elements(one_line([0, 1, 3], [0, 10, 30]), "path")
                if p.get("class") == "s-series1")  # fmt: skip
    (x0, y0), (x1, y1), (x2, y2) = (map(float, p.split()) for p in path.get("d")[1:].split("L"))
    assert x2 - x0 == pytest.approx(3 * (x1 - x0), abs=0.3)
    assert y2 - y0 == pytest.approx(3 * (y1 - y0), abs=0.3)
    assert x0 < x1
    assert y0 > y1  # SVG counts from the top


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-300, 900, ["−200", "0", "200", "400", "600", "800"]),
        (0.1234, 0.1236, ["0.12340", "0.12345", "0.12350", "0.12355", "0.12360"]),
        (0, 4e9, ["0", "1e+09", "2e+09", "3e+09", "4e+09"]),
        (0, 3e-9, ["0", "5e-10", "1e-09", "1.5e-09", "2e-09", "2.5e-09", "3e-09"]),
    ],
)
def test_ticks_are_round_numbers(low, high, labels):
    found = [text.replace("e−", "e-") for text in texts(one_line([low, high], [low, high]))]
    assert set(labels) <= set(found)


@pytest.mark.parametrize("values", [[2, 2], [0, 0], [1e-320, 2e-320], [1e20, 1e20 + 16384]])
def test_values_that_hardly_differ_are_drawn(values):
    assert len(texts(one_line(values, values))) <= 2 * 9 + 2


def test_values_that_are_not_finite_are_left_out():
    assert "nan" not in one_line([1, 2, 3], [np.nan, 1, np.inf]).svg


def test_epochs_are_whole():
    few = line_chart(EPOCH, [Line("l", [1, 2], [5, 6])])
    assert texts(few)[:2] == ["1", "2"]


def test_numbers_of_a_logarithmic_axis_are_written_out():
    assert {"0.01", "0.1", "1"} <= set(texts(CHARTS["log"]))
    wide = one_line([1, 2], [1e-30, 1e10], log=True)
    assert 3 <= sum(text.startswith("1e") for text in texts(wide)) <= 9


def test_lines_differ_in_more_than_color():
    six = [Line(str(i), [0, 1], [i, i]) for i in range(SERIES)]
    assert len(set(line_chart(ABC, six).dashes)) == SERIES
    with pytest.raises(ValueError, match="a chart holds 1 to 6 lines, got 7"):
        line_chart(ABC, [*six, six[0]])


def test_long_lines_are_thinned_with_their_ends():
    x = np.arange(100_000.0)
    svg = one_line(x, np.sin(x)).svg
    assert 5_000 < len(svg) < 60_000


def test_one_point_is_seen():
    assert [one.get("class") for one in elements(one_line([1], [0.5]), "circle")] == ["f-series1"]


def test_text_is_escaped():
    text = "<b>&\"'"
    chart = scatter_plot(Caption("a", "<script>", text, "x", "<i>"), [1, 2], [1, 2])
    assert "<script>" not in chart.svg
    assert "<i>" not in chart.svg
    assert ElementTree.fromstring(chart.svg).find("desc").text == text
