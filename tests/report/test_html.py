"""Pages: content security policy, escaping and readable colors."""

import base64
import hashlib
import re
from importlib.resources import files

import pytest

from plainnet.report.html import LISTED, Table, page

TEMPLATES = files("plainnet.report") / "templates"
STYLE = (TEMPLATES / "style.css").read_text(encoding="utf-8")
HEATS = [f"heat-{i}" for i in range(1, 5)] + [f"wrong-{i}" for i in range(1, 5)]


def test_templates_are_data_of_the_package():
    names = {entry.name for entry in TEMPLATES.iterdir()}
    assert {"base.html", "parts.html", "report.html", "style.css"} <= names


def test_policy_allows_this_style_sheet_and_pictures_in_the_page():
    text = page("base.html", title="t")
    style = re.search(r"<style>(.*?)</style>", text, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
    assert policy.replace("&#39;", "'").split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_policy_comes_before_all_data():
    text = page("base.html", title="<evil>", subtitle="<evil>", contents=[("a", "<evil>")])
    assert text.index("Content-Security-Policy") < text.index("&lt;evil&gt;")
    assert "<evil>" not in text
    assert text.count("&lt;evil&gt;") == 4  # title, heading, subtitle, contents


def test_style_requests_nothing():
    assert not re.search(r"url\(|@import|@font-face|http|</", STYLE)


def colors(block):
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def schemes():
    light = re.search(r":root \{(.*?)\n\}", STYLE, re.S).group(1)
    dark = re.search(r"prefers-color-scheme: dark\) \{\n  :root \{(.*?)\n  \}", STYLE, re.S).group(
        1
    )
    return {"light": colors(light), "dark": colors(dark)}


def luminance(color):
    """Relative luminance, as WCAG 2.2 defines it."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_ratio():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(
        4.48, abs=0.005
    )  # WCAG's known near miss


def test_both_schemes_name_the_same_colors():
    both = schemes()
    assert set(both["light"]) == set(both["dark"])
    assert set(re.findall(r"var\(--([\w-]+)\)", STYLE)) == set(both["light"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("back", ["paper", "card"])
def test_text_has_enough_contrast(scheme, back):
    color = schemes()[scheme]
    texts = ("ink", "soft", "link", "good", "problem", "warning", "note")
    ratios = {text: contrast(color[text], color[back]) for text in texts}
    assert min(ratios.values()) >= 4.5, ratios


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_on_shades_and_lines_have_enough_contrast(scheme):
    color = schemes()[scheme]
    shades = {name: contrast(color["ink"], color[name]) for name in HEATS}
    assert min(shades.values()) >= 4.5, shades
    series = {f"series-{i}": contrast(color[f"series-{i}"], color["paper"]) for i in range(1, 7)}
    assert min(series.values()) >= 3, series


def test_long_table_is_cut_and_counted():
    table = Table("Many", ("a",), [[str(i)] for i in range(LISTED + 3)])
    assert (len(table.listed), table.more) == (LISTED, 3)
