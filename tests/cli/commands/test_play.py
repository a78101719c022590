"""plainnet play: the address it prints answers until Ctrl-C."""

import http.client
import re
import signal
import socket
import subprocess
import sys

from plainnet.cli import main
from plainnet.cli.commands import play as commands
from plainnet.play.session import Session


def test_serves_until_ctrl_c(tmp_path):
    (tmp_path / "own.csv").write_text(
        "a,b,c\n" + "\n".join(f"{i},{i % 5},{i % 2}" for i in range(40))
    )
    command = [sys.executable, "-m", "plainnet", "play", "own.csv", "--no-browser"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            port, token = re.fullmatch(
                r"Open http://127\.0\.0\.1:(\d+)/#token=([\w-]{32})\n", line
            ).groups()
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
            connection.request("POST", "/api/open", "{}", {"plainnet-token": token})
            response = connection.getresponse()
            assert response.status == 200
            assert b'"features":["a","b"]' in response.read()
            connection.close()
        finally:
            process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "Ctrl-C ends it.\nEnded.\n"
        assert process.wait(30) == 0


def test_link_is_part_of_the_address(monkeypatch, capsys):
    link = Session().history.link()
    monkeypatch.setattr(commands, "serve", lambda playground, server, ready: ready())
    assert main(["play", "--no-browser", "--link", f"http://127.0.0.1:1/#state={link}"]) == 0
    assert f"&state={link}\n" in capsys.readouterr().out


def test_wrong_arguments_get_one_sentence(tmp_path, capsys):
    (tmp_path / "wrong.csv").write_text("")
    (tmp_path / "same.csv").write_text("a,b\n" + "1,yes\n2,yes\n" * 9)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, sentence in (
            (["--port", str(port)], f"port {port} cannot be used"),
            (["--link", "x"], "this link is damaged"),
            (["--port", "99999"], "port 99999 cannot be used"),
            ([str(tmp_path / "absent.csv")], "absent.csv"),
            ([str(tmp_path / "wrong.csv")], "is empty"),
            ([str(tmp_path / "same.csv")], "'b'"),
        ):
            assert main(["play", "--no-browser", *arguments]) == 2
            assert sentence in capsys.readouterr().err
