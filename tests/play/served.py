"""A playground that answers in a thread, and requests to it."""

import http.client
import json
import threading
import time
from contextlib import contextmanager

import numpy as np
import uvicorn

from plainnet.play.server import HOST, Playground, listening

TYPES = {"<f8": np.float64, "|u1": np.uint8, "|i1": np.int8}


@contextmanager
def served(tables=None):
    """Serve a playground on a free port."""
    server = listening(0)
    playground = Playground(server.getsockname()[1], tables)
    config = uvicorn.Config(playground.app, log_level="critical", lifespan="off")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [server]})
    thread.start()
    try:
        while not running.started:
            time.sleep(0.01)
        yield playground
    finally:
        running.should_exit = True
        thread.join()


def request(playground, method, path, body=b"", **headers):
    """Send one request; return status, headers and body."""
    connection = http.client.HTTPConnection(HOST, playground.port, timeout=30)
    connection.request(
        method, path, body, {name.replace("_", "-"): v for name, v in headers.items()}
    )
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, content


class Page:
    """What a page does, without a browser."""

    def __init__(self, playground, link=None):
        self.playground, self.session = playground, ""
        answer = self.call("open", {} if link is None else {"link": link})
        self.session, self.state = answer["session"], answer["state"]

    def call(self, action, body=None, **headers):
        """Perform an action; return JSON, a frame, or raise AssertionError with the sentence."""
        body = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        headers |= {"plainnet_token": self.playground.token, "plainnet_session": self.session}
        status, head, content = request(self.playground, "POST", f"/api/{action}", body, **headers)
        assert status == 200, content.decode()
        if head["content-type"] == "application/json":
            answer = json.loads(content)
            self.state = answer.get("state", getattr(self, "state", None))
            return answer
        return decoded(content) if action in ("advance", "seek") else content


def decoded(content):
    """Decode a frame: its header with the arrays in it."""
    length = int(np.frombuffer(content, np.uint32, 1)[0])
    header = json.loads(content[4 : 4 + length])
    start = 4 + length
    for name, kind, size in header["arrays"]:
        header[name] = np.frombuffer(content, TYPES[kind], size, start)
        start += header[name].nbytes
    assert start == len(content)
    return header
