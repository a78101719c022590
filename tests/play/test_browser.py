"""The page in a browser: what a person does with it, by clicks and keys alone."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

import chromium
from plainnet import textbook
from play.served import served

pytestmark = chromium.needs_chromium

THETA = "[...new Uint8Array(page.frame.theta.slice().buffer)].join()"
QUIET = "() => page.frame && !page.playing && !page.asking"


@pytest.fixture(scope="module")
def playground():
    with served() as running:
        yield running


@pytest.fixture
def visit(playground):
    """Return a function that opens the page, paused unless it is to play."""
    tabs = []

    def open_page(width=1280, height=900, dark=False, plays=False, fragment=""):
        context = chromium._browser().new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="no-preference" if plays else "reduce",
            is_mobile=width < 500,
        )
        tab = chromium.Tab(context.new_page())
        tabs.append((context, tab))
        tab.page.goto(f"{playground.address}{fragment}")
        tab.page.wait_for_function("() => window.page?.frame")
        return tab

    yield open_page
    for context, tab in tabs:
        assert tab.messages == []
        own = f"http://127.0.0.1:{playground.port}/"
        assert [one for one in tab.requests if not one.startswith((own, "blob:"))] == []
        context.close()


def numbers(tab):
    """Return the numbers under the map by their names."""
    text = tab.page.inner_text("#numbers")
    pairs = text.split("\n")
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def number(value, digits):
    """Write a number as the page does."""
    small = value != 0 and abs(value) < 0.5 * 10**-digits
    text = f"{abs(value):.2e}".replace("e-0", "e-") if small else f"{abs(value):.{digits}f}"
    return "-" + text if value < 0 else text


def advance(tab, epochs):
    """Click for one epoch after the other, faster than the answers come."""
    end = tab.evaluate("page.frame.epoch") + epochs
    script = "n => { for (let i = 0; i < n; i++) document.getElementById('step-epoch').click(); }"
    tab.evaluate(script, epochs)
    tab.page.wait_for_function(f"() => page.frame.epoch === {end} && !page.asking")


def set_value(tab, selector, value):
    """Move a slider as a person does, with its events."""
    script = """([selector, value]) => {
      const input = document.querySelector(selector);
      input.value = value;
      for (const kind of ["input", "change"]) input.dispatchEvent(new Event(kind, {bubbles: true}));
    }"""
    tab.evaluate(script, [selector, value])


def test_a_new_visitor_sees_the_spiral_being_learned(visit):
    tab = visit(plays=True)
    tab.page.wait_for_function("() => page.frame.metric[0] > 0.9", timeout=30_000)
    assert tab.page.inner_text("#play") == "Pause"
    tab.page.keyboard.press("Space")
    tab.page.wait_for_function(QUIET)
    assert tab.page.inner_text("#live").startswith("Paused at step")
    for step in (5, 17, 40):  # also while a frame of the training is under way
        tab.page.click("#play")
        tab.page.wait_for_function("() => page.playing && page.asking")
        set_value(tab, "#scrub", step)
        tab.page.wait_for_function("() => page.waiting === null && !page.looping && !page.asking")
        assert tab.evaluate("page.frame.step") == step


def test_train_moons_to_95_percent_by_clicks_alone(visit):
    tab = visit()
    tab.page.select_option("#data", "moons")
    tab.page.wait_for_function("() => page.state.settings.data === 'moons'")
    tab.page.click("#play")
    tab.page.wait_for_function("() => page.frame.metric[0] > 0.95", timeout=30_000)
    tab.page.click("#play")
    tab.page.wait_for_function(QUIET)
    assert float(numbers(tab)["training accuracy"].split()[0]) > 95


def test_scrubbing_undo_and_link_reproduce_bytes(visit):
    tab = visit()
    advance(tab, 3)
    after_three = tab.evaluate(THETA)
    advance(tab, 2)
    end = tab.evaluate(THETA)
    set_value(tab, "#scrub", 3 * 14)
    tab.page.wait_for_function("() => page.frame.step === 42")
    assert tab.evaluate(THETA) == after_three
    tab.page.select_option("#optimizer", "sgd")
    tab.page.wait_for_function("() => page.state.undo === 1")
    assert tab.evaluate(THETA) == after_three
    advance(tab, 1)
    assert tab.evaluate(THETA) != end
    tab.page.wait_for_function("() => location.hash.includes('state=')")
    tab.page.click("#undo")
    tab.page.wait_for_function("() => page.state.redo === 1")
    set_value(tab, "#scrub", 5 * 14)
    tab.page.wait_for_function("() => page.frame.step === 70")
    assert tab.evaluate(THETA) == end
    tab.page.wait_for_function("() => page.waiting === null")
    tab.page.click("#play")
    tab.page.wait_for_function("() => page.frame.step > 100")
    tab.page.click("#play")
    tab.page.wait_for_function(QUIET)
    now = tab.evaluate(THETA)
    link = tab.evaluate("import('./api.js').then((api) => api.call('link')).then((a) => a.link)")
    assert visit(fragment=f"&state={link}").evaluate(THETA) == now
    other = visit()
    other.evaluate(f"location.hash = 'state={link}'")  # pasted into the address
    other.page.wait_for_function("() => page.frame.step > 100")
    assert other.evaluate(THETA) == now


def test_two_settings_side_by_side(visit):
    tab = visit()
    advance(tab, 2)
    tab.page.click("#compare")
    tab.page.wait_for_selector("#run-b:visible")
    assert tab.page.inner_text("#name-a") == "A the same settings as yet"
    tab.page.select_option("#lr", "0.1")
    tab.page.wait_for_function("() => page.state.settings.lr === 0.1")
    tab.page.click("#restart")
    tab.page.wait_for_function("() => page.frame.step === 0")
    advance(tab, 3)
    assert tab.page.inner_text("#name-a") == "A learning rate 0.1"
    assert tab.page.inner_text("#name-b") == "B learning rate 0.02"
    assert tab.evaluate("[page.frame.step, page.frame.beside.step]") == [42, 42]
    assert [len(tab.evaluate(f"page.{name}")) for name in ("curve", "curveBeside")] == [4, 4]
    drawn = "document.querySelector('#map-b-canvas').toDataURL()"
    assert tab.evaluate(drawn) != tab.evaluate(drawn.replace("-b", ""))
    assert len(tab.page.query_selector_all("#curves path")) == 4
    loss = tab.evaluate("page.frame.beside.loss[0]")
    assert f"{loss:.4f}" in tab.page.inner_text("#numbers-b")
    tab.page.wait_for_function("() => location.hash.includes('state=')")
    other = visit(fragment=f"&{tab.evaluate('location.hash').split('&')[1]}")
    assert other.evaluate(THETA) == tab.evaluate(THETA)
    beside = THETA.replace("frame.", "frame.beside.")
    assert other.evaluate(beside) == tab.evaluate(beside)
    tab.page.click("#compare")
    tab.page.wait_for_selector("#run-b", state="hidden")


def test_step_by_layer_shows_the_numbers_of_the_next_step(visit):
    tab = visit()
    advance(tab, 1)
    stages = ["forward, layer 1", "forward, layer 2", "forward, layer 3", "loss"]
    stages += ["backward, layer 3", "backward, layer 2", "backward, layer 1", "update"]
    for stage in stages:
        tab.page.click("#step-layer")
        tab.page.wait_for_selector(f".stage:text-is('{stage}')")
    before = tab.evaluate("page.frame.step")
    tab.page.click("#step-layer")
    tab.page.wait_for_function(f"() => page.frame.step === {before + 1}")


def test_a_unit_shows_its_formula_with_the_numbers_in_it(visit):
    tab = visit()
    advance(tab, 1)
    tab.page.focus("[aria-label^='layer 2, unit 3']")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("#unit-table")
    tab.page.click("#next-row")
    step = tab.evaluate("page.step")
    parameters = {
        f"{p}{i}": np.array(layer[p]) for i, layer in enumerate(step["layers"], 1) for p in "Wb"
    }
    A = textbook.forward(np.array(step["X"]), parameters)
    gradients = textbook.backward(A, np.array(step["y"]), parameters)
    Z = textbook.linear_forward(A[1], parameters["W2"], parameters["b2"])
    assert tab.page.inner_text("#formula").replace("−", "-").endswith(f"= {Z[1, 2]:.4f}")
    rows = tab.page.inner_text("#unit-table tbody").replace("−", "-").splitlines()
    cells = [row.split("\t") for row in rows]
    assert len(cells) == 9  # eight weights and the bias
    terms, dW = A[1][1] * parameters["W2"][2], gradients["dW2"][2]
    assert [row[3] for row in cells[:8]] == [number(term, 4) for term in terms]
    assert [row[4] for row in cells] == [number(d, 5) for d in (*dW, gradients["db2"][2])]
    for row in cells:
        assert row[5] == "kink" or abs(float(row[4]) - float(row[5])) < 2e-5
    tab.page.click("#batch summary")
    tab.page.wait_for_selector(".batch")
    tables = tab.evaluate("""[...document.querySelectorAll(".batch tbody")].map((body) =>
      [...body.rows].map((row) => [...row.cells].slice(1).map((cell) => cell.innerText)))""")
    for shown, expected in zip(tables, (Z, A[2], step["layers"][1]["dZ"]), strict=True):
        texts = [[number(value, 4) for value in row] for row in expected]
        assert [[text.replace("−", "-") for text in row] for row in shown] == texts


def test_own_csv_and_wrong_files(visit, tmp_path):
    tab = visit()
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    lines = [f"{a:.3f},{b:.3f},{c:.3f},{'yes' if a + b > 0 else 'no'}" for a, b, c in X]
    (tmp_path / "own.csv").write_text("one,two,three,answer\n" + "\n".join(lines) + "\n")
    tab.page.set_input_files("#file", tmp_path / "own.csv")
    tab.page.wait_for_function("() => page.state.target === 'answer'")
    assert "a slice" in tab.page.inner_text("#map")
    advance(tab, 20)
    assert float(numbers(tab)["training accuracy"].split()[0]) > 95
    tab.page.select_option("#axis-y", "2")
    tab.page.wait_for_function("() => page.state.plane[1] === 2")
    (tmp_path / "wrong.csv").write_bytes(b"\xff\xfe\x00")
    tab.page.set_input_files("#file", tmp_path / "wrong.csv")
    tab.page.wait_for_selector("#error:visible")
    assert "wrong.csv" in tab.page.inner_text("#error")
    assert tab.evaluate("page.state.target") == "answer"
    tab.messages[:] = [m for m in tab.messages if "400 (Bad Request)" not in m]


def test_link_to_an_own_table_waits_for_its_file(visit, tmp_path):
    rows = "\n".join(f"{i % 7},{i % 11},{'ab'[i % 7 > i % 11]}" for i in range(80))
    (tmp_path / "my own.csv").write_text(f"one,two,label\n{rows}\n")
    tab = visit()
    tab.page.set_input_files("#file", tmp_path / "my own.csv")
    tab.page.wait_for_function("() => page.state.target === 'label'")
    advance(tab, 2)
    end = tab.evaluate(THETA)
    link = tab.evaluate("import('./api.js').then((api) => api.call('link')).then((a) => a.link)")
    other = visit(fragment=f"&state={link}")
    other.page.wait_for_selector("#error:visible")
    assert "drop its file" in other.page.inner_text("#error")
    other.page.set_input_files("#file", tmp_path / "my own.csv")
    other.page.wait_for_function("() => page.frame.step === 8")
    assert other.evaluate(THETA) == end
    other.messages[:] = [m for m in other.messages if "400 (Bad Request)" not in m]


def test_page_goes_on_when_its_session_has_ended(visit, playground):
    tab, asked = visit(), set()
    tab.page.on("request", lambda request: asked.add(request))
    tab.page.on("requestfinished", lambda request: asked.discard(request))
    advance(tab, 2)
    quiet = 0
    while quiet < 5:  # the findings, which the page asks for last, must not be what misses it
        tab.page.wait_for_timeout(100)
        quiet = 0 if asked else quiet + 1
    before = tab.evaluate(THETA)
    playground.sessions.clear()
    tab.page.click("#step-batch")
    tab.page.wait_for_function("() => !page.asking && page.frame.step === 28")
    assert tab.evaluate(THETA) == before
    tab.messages[:] = [m for m in tab.messages if "404 (Not Found)" not in m]


def test_a_training_that_fails_says_so(visit):
    tab = visit()
    tab.page.select_option("#data", "waves")
    tab.page.select_option("#optimizer", "sgd")
    tab.page.select_option("#lr", "10")
    tab.page.wait_for_function("() => page.state.settings.lr === 10")
    tab.page.click("#play")
    tab.page.wait_for_selector("#error >> text=lower the learning rate")
    tab.page.wait_for_selector("#findings .problem")
    assert tab.page.inner_text("#play") == "Play"
    tab.page.click("#undo")
    tab.page.wait_for_selector("#error", state="hidden")


def test_draw_points_by_hand(visit):
    tab = visit()
    tab.page.select_option("#data", "drawn")
    tab.page.wait_for_selector("#draw-class")
    tab.page.select_option("#draw-class", "1")
    tab.page.click("#map-canvas", position={"x": 30, "y": 40})
    tab.page.wait_for_function("() => page.state.settings.drawn.length === 9")
    x, y, label = tab.evaluate("page.state.settings.drawn.at(-1)")
    assert (x < -0.9, y > 0.9, label) == (True, True, 1)
    tab.page.fill("#draw-x1", "0.5")
    tab.page.click("text=Add point")
    tab.page.wait_for_function("() => page.state.settings.drawn.length === 10")
    assert tab.evaluate("page.state.settings.drawn.at(-1)") == [0.5, 0, 0]
    tab.page.select_option("#draw-class", "3")
    tab.page.click("text=Add point")  # one point of a class cannot be split
    tab.page.wait_for_selector("#error:visible")
    assert tab.page.input_value("#draw-class") == "0"
    assert len(tab.evaluate("page.state.settings.drawn")) == 10
    tab.messages[:] = [m for m in tab.messages if "400 (Bad Request)" not in m]


def test_confusion_cell_shows_its_rows(visit):
    tab = visit()
    wrong = "0 predicted as 1"
    tab.page.wait_for_selector(f"[aria-label*='{wrong}']")
    tab.page.click(f"[aria-label*='{wrong}']")
    n = int(tab.page.inner_text(f"[aria-label*='{wrong}']"))
    assert n > 0
    assert tab.page.inner_text("#table p").startswith(f"{n} rows of 0 predicted as 1")
    assert len(tab.page.query_selector_all("#table tbody tr")) == n


def test_finding_of_the_doctor_is_remedied_by_a_click(visit):
    tab = visit()
    tab.page.click("#setup summary:text('More options')")
    tab.page.select_option("#init", "zeros")
    tab.page.click("#findings .remedy")
    tab.page.wait_for_function("() => page.state.settings.init === 'he_normal'")
    advance(tab, 1)
    gone = "() => !document.getElementById('findings').innerText.includes('all zero')"
    tab.page.wait_for_function(gone)  # findings are asked for after the frame is shown


def test_exports_are_saved(visit, tmp_path):
    tab = visit()
    begins = {"training": b'"""Train', "python": b'"""', "model": b"", "picture": b"\x89PNG"}
    for kind, start in begins.items():
        tab.page.click("#export summary")
        with tab.page.expect_download() as download:
            tab.page.click(f"[data-kind={kind}]")
        download.value.save_as(tmp_path / kind)
        content = (tmp_path / kind).read_bytes()
        assert content.startswith(start)
        assert len(content) > 1000


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1280, False), (2560, False)])
def test_page_fits_and_everybody_can_use_it(visit, width, dark):
    """With every part of the page open, axe-core finds nothing."""
    tab = visit(width=width, height=900 if width > 400 else 740, dark=dark)
    tab.page.click("#step-layer")
    tab.page.wait_for_selector("#unit-table")
    tab.page.click("#compare")
    tab.page.click("#table-panel summary")
    tab.page.click("#setup summary:text('More options')")
    tab.page.select_option("#init", "zeros")
    tab.page.wait_for_selector("#findings .remedy")
    tab.page.click("#export summary")
    assert tab.page.is_visible("#run-b")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    nodes = tab.accessibility_tree()
    roles = {role for role, _ in nodes}
    assert {"main", "heading", "status", "slider", "banner", "contentinfo", "table"} <= roles
    if width < 2000:  # once in light and once in dark colors
        results = Axe().run(tab.page)
        assert results.violations_count == 0, results.generate_report()


def test_picture_of_the_documents(visit):
    """Delete docs/play.png to take it again."""
    tab = visit(width=1280, height=1080)
    tab.page.click("#play")
    tab.page.wait_for_function("() => page.frame.step > 400")
    tab.page.click("#play")
    tab.page.click("[aria-label^='layer 2, unit 3']")
    tab.page.wait_for_selector("#unit-table")
    tab.evaluate("scrollTo(0, 0)")
    picture = Path(__file__).resolve().parents[2] / "docs" / "play.png"
    if not picture.exists():
        tab.page.wait_for_timeout(500)
        tab.page.screenshot(path=picture)
    with Image.open(picture) as taken:
        assert taken.size == (1280, 1080)


def test_keyboard_reaches_every_control(visit):
    tab = visit()
    seen = set()
    for _ in range(60):
        tab.page.keyboard.press("Tab")
        seen.add(tab.evaluate("document.activeElement.id || document.activeElement.ariaLabel"))
    assert {"copy", "data", "noise", "file", "lr", "add-layer", "play", "scrub"} <= seen
    assert any(re.match("layer 2, unit 8", name or "") for name in seen)


def test_page_without_token_says_what_to_do(visit, playground):
    tab = visit()
    tab.page.goto("about:blank")
    tab.page.goto(f"http://127.0.0.1:{playground.port}/")
    tab.page.wait_for_selector("#error:visible")
    assert "open the address that plainnet play printed" in tab.page.inner_text("#error")
    tab.messages[:] = [m for m in tab.messages if "401 (Unauthorized)" not in m]


def test_pure_functions():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    tests = Path(__file__).with_name("pure.test.mjs")
    run = subprocess.run([node, "--test", str(tests)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
