"""Reports in a browser: no console message, no request, no overflow; they print."""

import pytest

import chromium
from report.reports import TASKS, text_of

pytestmark = chromium.needs_chromium
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
PROBLEMS = """<!DOCTYPE html><title>t</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'">
<script>document.title = "ran"</script><img src="http://127.0.0.1:9/x.png" style="width: 9px">"""


VIEWS = [(task, 360, False) for task in TASKS]
VIEWS += [("pictures", 1200, False), ("pictures", 360, True), ("multiclass", 1200, True)]


@pytest.mark.parametrize(("task", "width", "dark"), VIEWS)
def test_report_opens_without_message_or_request_and_fits(task, width, dark, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(text_of(task), encoding="utf-8")
    with chromium.opened(file, width=width, dark=dark) as tab:
        outside = [one for one in tab.requests if not one.startswith(("data:", file.as_uri()))]
        assert outside == []
        assert tab.messages == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate(BACKGROUND) == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
        assert tab.evaluate("[...document.images].every(one => one.complete && one.naturalWidth)")


def test_charts_take_the_colors_of_the_page(tmp_path):
    file = tmp_path / "report.html"
    file.write_text(text_of("binary"), encoding="utf-8")
    first = "getComputedStyle(document.querySelector('svg .s-series1')).stroke"
    text = "getComputedStyle(document.querySelector('svg text')).fill"
    with chromium.opened(file) as tab:
        light = tab.evaluate(first), tab.evaluate(text)
    with chromium.opened(file, dark=True) as tab:
        dark = tab.evaluate(first), tab.evaluate(text)
    assert light == ("rgb(31, 95, 168)", "rgb(27, 31, 36)")
    assert dark == ("rgb(125, 180, 240)", "rgb(233, 236, 239)")


def test_screen_reader_gets_tables_headings_and_named_images(tmp_path):
    """The tree that a screen reader gets, on a phone, where tables are laid out as cards."""
    file = tmp_path / "report.html"
    file.write_text(text_of("pictures"), encoding="utf-8")
    with chromium.opened(file, width=360) as tab:
        nodes = tab.accessibility_tree()
    roles = {role for role, _ in nodes}
    assert {"main", "navigation", "heading", "table", "columnheader", "rowheader"} <= roles
    images = [name for role, name in nodes if role in ("image", "img")]
    assert len(images) > 5
    assert all(images)


def test_report_prints_light_and_without_navigation(tmp_path):
    file = tmp_path / "report.html"
    file.write_text(text_of("binary"), encoding="utf-8")
    with chromium.opened(file, dark=True) as tab:
        tab.page.emulate_media(media="print")
        assert tab.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
        assert tab.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert len(tab.page.pdf()) > 7_500


def test_messages_and_requests_are_recorded(tmp_path):
    file = tmp_path / "bad.html"
    file.write_text(PROBLEMS, encoding="utf-8")
    with chromium.opened(file) as tab:
        assert tab.evaluate("document.title") == "t"
        assert len(tab.messages) >= 2  # the script and the picture, both refused
        policy = PROBLEMS.replace("default-src 'none'", "img-src http:")
    file.write_text(policy, encoding="utf-8")
    with chromium.opened(file) as tab:
        assert "http://127.0.0.1:9/x.png" in tab.requests
