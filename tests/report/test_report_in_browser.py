"""Reports in a real browser: no complaint, no request, and room for everything."""

import pytest

import chromium
from report.reports import TASKS, text_of

pytestmark = pytest.mark.skipif(
    chromium.found() is None, reason=f"no browser is installed: none of {', '.join(chromium.NAMES)}"
)
PROBLEMS = """<!DOCTYPE html><title>t</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'">
<script>document.title = "ran"</script><img src="http://127.0.0.1:9/x.png" style="width: 9px">"""


VIEWS = [(task, 360, False) for task in TASKS]
VIEWS += [("pictures", 1200, False), ("pictures", 360, True), ("multiclass", 1200, True)]


@pytest.mark.parametrize(("task", "width", "dark"), VIEWS)
def test_it_opens_without_complaint_or_request_and_fits(task, width, dark, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(text_of(task), encoding="utf-8")
    with chromium.opened(file, width=width, dark=dark) as tab:
        outside = [one for one in tab.requests if not one.startswith(("data:", file.as_uri()))]
        assert outside == []
        assert tab.complaints == []
        assert tab.value("document.documentElement.scrollWidth") <= width
        assert tab.value("getComputedStyle(document.body).backgroundColor") == (
            "rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)"
        )
        assert tab.value("[...document.images].every(one => one.complete && one.naturalWidth)")


def test_its_colors_reach_the_drawings(tmp_path):
    file = tmp_path / "report.html"
    file.write_text(text_of("binary"), encoding="utf-8")
    first = "getComputedStyle(document.querySelector('svg .s-series1')).stroke"
    words = "getComputedStyle(document.querySelector('svg text')).fill"
    with chromium.opened(file) as tab:
        light = tab.value(first), tab.value(words)
    with chromium.opened(file, dark=True) as tab:
        dark = tab.value(first), tab.value(words)
    assert light == ("rgb(31, 95, 168)", "rgb(27, 31, 36)")
    assert dark == ("rgb(125, 180, 240)", "rgb(233, 236, 239)")


def test_what_is_read_aloud_is_there(tmp_path):
    """The tree that a screen reader gets, on a phone, where tables are laid out as cards."""
    file = tmp_path / "report.html"
    file.write_text(text_of("pictures"), encoding="utf-8")
    with chromium.opened(file, width=360) as tab:
        tab.ask("Accessibility.enable")
        nodes = tab.ask("Accessibility.getFullAXTree")["nodes"]
    seen = [(one["role"]["value"], one.get("name", {}).get("value", ""))
            for one in nodes if not one["ignored"] and "role" in one]  # fmt: skip
    roles = {role for role, _ in seen}
    assert {"main", "navigation", "heading", "table", "columnheader", "rowheader"} <= roles
    images = [name for role, name in seen if role in ("image", "img")]
    assert len(images) > 5
    assert all(images)


def test_it_prints_on_paper(tmp_path):
    file = tmp_path / "report.html"
    file.write_text(text_of("binary"), encoding="utf-8")
    with chromium.opened(file, dark=True) as tab:
        tab.ask("Emulation.setEmulatedMedia", media="print")
        assert tab.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.value("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert len(tab.ask("Page.printToPDF")["data"]) > 10_000


def test_complaints_and_requests_would_be_seen(tmp_path):
    file = tmp_path / "bad.html"
    file.write_text(PROBLEMS, encoding="utf-8")
    with chromium.opened(file) as tab:
        assert tab.value("document.title") == "t"
        assert len(tab.complaints) >= 2  # the script and the picture, both refused
        policy = PROBLEMS.replace("default-src 'none'", "img-src http:")
    file.write_text(policy, encoding="utf-8")
    with chromium.opened(file) as tab:
        assert "http://127.0.0.1:9/x.png" in tab.requests
