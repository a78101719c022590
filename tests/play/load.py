"""Sessions of random actions against a playground: every night by the thousand, a few in the suite.

PYTHONPATH=tests python -m play.load --sessions 50 --seconds 300
"""

import argparse
import http.client
import json
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from play.served import decoded

SETTINGS = {
    "data": ["spiral", "moons", "circles", "flower", "blobs", "waves", "saddle", "introverts"],
    "points": [60, 300, 1000],
    "noise": [0, 0.2],
    "classes": [2, 5],
    "hidden": [[], [4], [8, 8], [16, 16, 16]],
    "activation": [["relu"], ["tanh"], ["softmax"]],
    "lr": [1e-4, 0.02, 0.3, 10],
    "optimizer": ["sgd", "adam", "rmsprop", "adamw"],
    "batch_size": [1, 16, "full"],
    "dropout": [0, 0.3],
    "l2": [0, 0.01],
    "schedule": ["constant", "cosine"],
    "init": ["he_normal", "zeros"],
    "seed": [0, 1],
    "validation_fraction": [0, 0.25],
    "target": ["", "nowhere"],
}
TABLE = b"age,size,label\n" + b"".join(b"%d,%d,%d\n" % (i % 7, i % 11, i % 3) for i in range(90))
MOST_MEMORY = 2_000_000  # kB of the server, of 50 sessions


def random_action(rng, state, frame, link):
    """Return the name and the body of what a person, or a hasty program, may do next."""
    name = str(rng.choice(["advance"] * 8 + ["change"] * 4 + ["seek"] * 3 + OTHERS))

    def choose(values):
        return values[rng.integers(len(values))]

    if name == "advance":
        kind, most = choose([("batches", 40), ("epochs", 3), ("milliseconds", 15)])
        return name, {kind: int(rng.integers(1, most))}
    if name == "change":
        key = choose(list(SETTINGS))
        return name, {key: choose(SETTINGS[key])}
    bodies = {
        "seek": {"step": int(rng.integers(frame["total"] + 2))},
        "view": {"axes": rng.integers(3, size=2).tolist(), "fixed": {}},
        "step": {"layer": int(rng.integers(len(state["layers"]))), "unit": int(rng.integers(6))},
        "export": {"kind": choose(["training", "python", "model"])},
        "follow": {"link": link},
    }
    return name, TABLE if name == "upload" else bodies.get(name, {})


OTHERS = ["undo", "redo", "restart", "compare", "end_comparison", "view", "step", "findings"]
OTHERS += ["link", "follow", "export", "upload"]


class Client:
    """One connection with one session, which stays open."""

    def __init__(self, port, token):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.headers = {"plainnet-token": token, "plainnet-name": "own.csv"}

    def post(self, action, body):
        """Perform an action; return status, type and content."""
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request("POST", f"/api/{action}", text, self.headers)
        response = self.connection.getresponse()
        return response.status, response.headers["content-type"], response.read()

    def run(self, seed, until, counts):
        """Perform random actions while `until` is ahead; count them, and what was refused."""
        rng = np.random.default_rng(seed)
        answer = json.loads(self.post("open", {})[2])
        self.headers["plainnet-session"] = answer["session"]
        state, link = answer["state"], answer["state"]["link"]
        frame = decoded(self.post("advance", {})[2])
        while until():
            action, body = random_action(rng, state, frame, link)
            status, kind, content = self.post(action, body)
            counts[action, status] += 1
            if status not in (200, 400):
                counts[f"failed: {action} {body} {content[:300]!r}", status] += 1
            if status == 200 and kind == "application/json":
                answer = json.loads(content)
                state, link = answer.get("state", state), answer.get("link", link)
            frame = decoded(self.post("advance", {})[2])
        self.connection.close()


def run_sessions(port, token, sessions, until):
    """Run so many sessions at once; return how often each action had each status."""
    counts = Counter()
    with ThreadPoolExecutor(sessions) as pool:
        list(pool.map(lambda seed: Client(port, token).run(seed, until, counts), range(sessions)))
    return counts


def memory(pid):
    """Return the memory of a process in kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s*(\d+)", status)[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300)
    options = parser.parse_args()
    command = [sys.executable, "-m", "plainnet", "play", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port, token = re.search(r":(\d+)/#token=(\S+)", server.stdout.readline()).groups()
            end, seen = time.monotonic() + options.seconds, [memory(server.pid)]

            def until():
                seen.append(memory(server.pid))
                return time.monotonic() < end

            counts = run_sessions(int(port), token, options.sessions, until)
        finally:
            server.terminate()
    failures = [f"{key[0]} {key[1]}" for key in counts if key[1] not in (200, 400)]
    done, refused = (sum(n for (_, s), n in counts.items() if s == k) for k in (200, 400))
    parts = [max(seen[i * len(seen) // 4 : (i + 1) * len(seen) // 4]) // 1000 for i in range(4)]
    print(f"{done:,} actions done and {refused:,} refused; MB in each quarter: {parts}")
    print(*failures, sep="\n")
    sys.exit(bool(failures) or max(seen) > MOST_MEMORY)


if __name__ == "__main__":
    main()
