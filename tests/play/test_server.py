"""Each rule of security, attacked; and requests that are wrong."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from plainnet.play.server import HEADERS, MOST_BODY, MOST_SESSIONS, Playground, listening
from play.load import Client
from play.served import Page, decoded, request, served


@pytest.fixture(scope="module")
def playground():
    with served() as running:
        yield running


def api(playground, action="open", body=b"{}", **headers):
    headers = {"plainnet_token": playground.token} | headers
    return request(playground, "POST", f"/api/{action}", body, **headers)


def test_page_and_its_files(playground):
    for path, kind in (
        ("/", "text/html"),
        ("/main.js", "text/javascript"),
        ("/style.css", "text/css"),
    ):
        status, headers, body = request(playground, "GET", path)
        assert status == 200
        assert headers["content-type"].startswith(kind)
        assert body
        for name, value in HEADERS.items():
            assert headers[name] == value
        assert not [name for name in headers if name.lower().startswith("access-control")]
        assert "set-cookie" not in headers


HOSTS = ("", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", "evil.example", "evil.example:{port}")
HOSTS += ("127.0.0.1.evil.example:{port}", "127.0.0.1:{port}@evil.example")
ORIGINS = ("null", "http://evil.example", "https://127.0.0.1:{port}", "http://localhost:{port}")
PATHS = ("/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "/static/main.js", "/main.js/")


@pytest.mark.parametrize("host", HOSTS)
def test_other_hosts_are_refused(playground, host):
    host = host.format(port=playground.port)
    assert request(playground, "GET", "/", Host=host)[0] == 421
    assert api(playground, Host=host)[0] == 421


def test_request_without_host_is_refused(playground):
    import socket

    with socket.create_connection(("127.0.0.1", playground.port), 10) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 421 " in connection.recv(100)


@pytest.mark.parametrize("origin", ORIGINS)
def test_other_origins_are_refused(playground, origin):
    assert api(playground, Origin=origin.format(port=playground.port))[0] == 403


def test_own_origin_is_answered(playground):
    assert api(playground, Origin=f"http://127.0.0.1:{playground.port}")[0] == 200


@pytest.mark.parametrize("token", ["", "x", "ä".encode().decode("latin-1")])
def test_wrong_token_is_refused(playground, token):
    status, _, body = api(playground, plainnet_token=token)
    assert status == 401
    assert "plainnet play printed" in json.loads(body)["error"]


def test_preflight_gets_no_permission(playground):
    status, headers, _ = request(
        playground, "OPTIONS", "/api/open", Origin="http://evil.example",
        Access_Control_Request_Method="POST", Access_Control_Request_Headers="plainnet-token",
    )  # fmt: skip
    assert status == 405
    assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", PATHS)
def test_other_files_are_not_served(playground, path):
    assert request(playground, "GET", path)[0] in (404, 405, 307)
    assert b"import" not in request(playground, "GET", path)[2]


def test_large_bodies_are_refused(playground):
    assert api(playground, "change", b" " * (MOST_BODY + 1))[0] == 413


def test_listens_on_this_machine_alone():
    with listening(0) as server:
        assert server.getsockname()[0] == "127.0.0.1"


def test_unknown_session_is_told(playground):
    status, _, body = api(playground, "advance", plainnet_session="x")
    assert (status, json.loads(body)) == (404, {"error": "this session has ended: reload the page"})


def test_sessions_are_limited():
    playground = Playground(1)
    for _ in range(MOST_SESSIONS + 5):
        playground._open(b"{}")
    assert len(playground.sessions) == MOST_SESSIONS


def test_sessions_are_apart(playground):
    one, two = Page(playground), Page(playground)
    one.call("advance", {"batches": 7})
    assert two.call("advance", {})["step"] == 0
    assert one.call("advance", {})["step"] == 7


def test_many_sessions_at_once(playground):
    """Export parses Python, which two threads cannot do at once in Python 3.11."""
    pages = [Page(playground) for _ in range(6)]

    def use(page):
        for _ in range(4):
            page.call("advance", {"batches": 5})
            page.call("export", {"kind": "python"})
            page.call("change", {"lr": page.state["settings"]["lr"] * 2})
        return page.call("advance", {"batches": 1})["theta"].tobytes()

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(use, pages))) == 1


def test_frame_holds_map_parameters_and_losses(playground):
    page = Page(playground)
    frame = page.call("advance", {"batches": 100})
    assert frame["step"] == 100
    assert frame["map"].shape == (100 * 100,)
    assert frame["theta"].shape == (2 * 8 + 8 + 8 * 8 + 8 + 8 + 1,)
    assert frame["units"].shape == (16 * 20 * 20,)
    known = len(frame["curve"]) // 3
    more = page.call("advance", {"epochs": 2, "known": known})
    assert len(more["curve"]) == 2 * 3
    assert page.call("seek", {"step": 100})["theta"].tobytes() == frame["theta"].tobytes()


def test_frame_and_state_hold_the_run_beside(playground):
    page = Page(playground)
    before = page.call("advance", {"batches": 30})
    page.call("compare")
    page.call("change", {"hidden": [4], "activation": ["tanh"]})
    frame = page.call("advance", {"batches": 30})
    beside = decoded(frame["beside"].tobytes())
    assert (beside["step"], frame["step"]) == (30, 30)
    assert beside["theta"].tobytes() == before["theta"].tobytes()
    assert beside["map"].tobytes() == before["map"].tobytes()
    assert page.state["beside"]["settings"]["hidden"] == [8, 8]
    page.call("end_comparison")
    assert page.state["beside"] is None
    assert "beside" not in page.call("advance", {})


def test_map_shows_the_predictions_of_the_network(playground):
    page = Page(playground)
    frame = page.call("advance", {"batches": 300})
    a, b, x, y, half = page.state["plane"]
    y_true = np.array(page.state["y"][0])
    rows = np.array(page.state["rows"][0])
    column = ((rows[:, a] - x) / half + 1) * 50
    line = (1 - (rows[:, b] - y) / half) * 50
    shown = frame["map"].reshape(100, 100)[line.astype(int), column.astype(int)] / 255 > 0.5
    assert np.mean(shown == y_true) > 0.97
    assert frame["metric"][0] > 0.97


def test_own_table(playground):
    page = Page(playground)
    rows = "\n".join(
        f"{i % 7},{i * 37 % 11},{'ab'[i * 37 % 11 > i % 7]},{i % 3}" for i in range(80)
    )
    page.call("upload", f"age,size,kind,label\n{rows}\n".encode(), plainnet_name="own.csv")
    assert page.state["features"][:2] == ["age", "size"]
    assert page.state["task"] == "multiclass"
    page.call("view", {"axes": [1, 0], "fixed": {"2": 1}})
    assert page.state["plane"][:2] == [1, 0]
    page.call("change", {"target": "kind"})
    assert page.state["classes"] == ["a", "b"]
    frame = page.call("advance", {"epochs": 60})
    assert frame["metric"][0] > 0.9
    link = page.call("link")["link"]
    with pytest.raises(AssertionError, match="drop its file"):
        Page(playground, link)  # a link holds no rows


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b"", "a.csv", "'a.csv' is empty"),
        (b"\xff\xfe\x00", "a.csv", "not UTF-8"),
        (b"a,b\n1,2\n", "a.csv", "."),
        (b"a,b\n1,2\n", "a.exe", "not a table format"),
        (b"a,b\n" + b"".join(b"%d,k%d\n" % (i, i // 3) for i in range(180)), "a.csv", "50 classes"),
        (b"PK\x03\x04", "../../x.zip", "cannot be read"),
    ],
)
def test_wrong_files_get_one_sentence(playground, content, name, sentence):
    page = Page(playground)
    with pytest.raises(AssertionError) as refused:
        page.call("upload", content, plainnet_name=name)
    message = json.loads(str(refused.value).splitlines()[0])["error"]
    assert sentence in message
    assert "\n" not in message
    assert "/tmp" not in message
    assert page.call("advance", {"batches": 1})["step"] == 1


def test_numbers_that_are_not_finite_are_answered(playground):
    page = Page(playground)
    page.call("change", {"data": "waves", "optimizer": "sgd", "lr": 1e150})
    frame = page.call("advance", {"batches": 50})
    assert "learning rate" in frame["failure"]
    assert page.call("step", {"layer": 0, "unit": 0})["loss"] is None
    assert page.call("findings")["findings"]


def test_malformed_requests_get_no_traceback(playground):
    rng = np.random.default_rng(0)
    client = Client(playground.port, playground.token)
    client.headers["plainnet-session"] = Page(playground).session
    actions = ["advance", "seek", "change", "view", "step", "export", "upload", "x", "undo"] * 4
    actions += ["open", "compare", "follow"]
    values = [None, True, -1, 2**70, 1e308, "", "x" * 99, [], [[]], {}, {"a": {}}, float("nan")]
    keys = ["batches", "epochs", "milliseconds", "known", "step", "axes", "fixed", "layer", "unit"]
    keys += ["kind", "link", "hidden", "activation", "data", "drawn", "lr", "seed", "batch_size"]
    statuses = set()
    for i in range(1000):
        action = actions[rng.integers(len(actions))]
        body = {keys[rng.integers(len(keys))]: values[rng.integers(len(values))] for _ in range(2)}
        text = json.dumps(body).encode()
        if i % 5 == 0:
            text = text[: rng.integers(len(text))] + rng.bytes(3)
        status, _, content = client.post(action, text)
        statuses.add(status)
        assert b"Traceback" not in content
        assert status == 200 or set(json.loads(content)) == {"error"}, (action, text)
    client.connection.close()
    assert statuses <= {200, 400, 413}, statuses
