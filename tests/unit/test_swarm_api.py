"""The Engine's API over docker's own way to it: a server at a socket answers in its place."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socketserver
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread

import pytest

from gangway.base.errors import GangwayError
from gangway.base.process import Runner
from gangway.engines.swarm.api import Api, Refused
from gangway.engines.swarm.credentials import HEADER, header
from gangway.settings.environment import load
from tests.unit.conftest import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("docker"), reason="no docker program here")

PIECES = [(1, b"out"), (2, b"err")]


class Answers(BaseHTTPRequestHandler):
    """What the engine says, by path; a POST is answered with what it was sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/v1.45")
        match path:
            case "/logs":
                frames = (bytes([n, 0, 0, 0]) + len(d).to_bytes(4, "big") + d for n, d in PIECES)
                self.answer(200, b"".join(frames))
            case "/gone":
                self.answer(404, json.dumps({"message": "no such thing"}).encode())
            case _:
                self.answer(200, json.dumps({"asked": self.path}).encode())

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        login = self.headers.get(HEADER, "")
        self.answer(201, json.dumps({"sent": json.loads(data), "login": login}).encode())

    def do_DELETE(self) -> None:
        self.answer(404 if self.path.endswith("/gone") else 409, b'{"message": "in use"}')

    def answer(self, code: int, data: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        return "nobody"

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Api]:
    """Return the API of a server at a socket."""
    path = tmp_path / "s"
    with socketserver.ThreadingUnixStreamServer(str(path), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        api = Api(Runner(tmp_path, {**os.environ, "DOCKER_HOST": f"unix://{path}"}))
        yield api
        api.close()
        server.shutdown()


def test_filters_are_json_in_the_question(engine: Api) -> None:
    asked = engine.get("/tasks", filters={"label": ["a=b"]})["asked"]
    assert asked == "/v1.45/tasks?filters=%7B%22label%22%3A+%5B%22a%3Db%22%5D%7D"


def test_one_connection_serves_several_questions(engine: Api) -> None:
    assert [engine.get(f"/{each}")["asked"] for each in "ab"] == ["/v1.45/a", "/v1.45/b"]
    assert engine.post("/create", {"Name": "x"}) == {"sent": {"Name": "x"}, "login": ""}


def test_a_connection_that_was_idle_for_too_long_is_made_anew(engine: Api) -> None:
    engine.get("/a")
    kept = engine._kept
    assert kept and kept._program
    kept._program.kill()
    assert engine.get("/b")["asked"] == "/v1.45/b"


def test_a_refusal_says_what_the_engine_said(engine: Api) -> None:
    with pytest.raises(Refused, match="the engine says: no such thing") as raised:
        engine.get("/gone")
    assert raised.value.code == 404


def test_what_is_gone_already_is_as_good_as_removed(engine: Api) -> None:
    engine.delete("/gone")
    with pytest.raises(Refused, match="in use"):
        engine.delete("/used")


def test_what_a_container_writes_keeps_its_streams_apart(engine: Api) -> None:
    assert list(engine.output("/logs", follow=1)) == [("stdout", b"out"), ("stderr", b"err")]


def test_an_engine_that_is_not_there_is_an_error_with_what_docker_said(tmp_path: Path) -> None:
    runner = Runner(tmp_path, {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none"})
    with pytest.raises(GangwayError, match=r"no container engine answers: .*no such file"):
        Api(runner).get("/info")


# ---- what a registry is shown


def shown(folder: Path, image: str) -> dict[str, str]:
    """Return the login that goes with an image, by the docker settings in a folder."""
    shell = {**os.environ, "DOCKER_CONFIG": str(folder)}
    found = header(load(ROOT, "prod", shell=shell), image)
    return json.loads(base64.urlsafe_b64decode(found[HEADER])) if found else {}


def test_a_registrys_login_goes_with_its_images_alone(tmp_path: Path) -> None:
    auths = {"r.example.com:5000": {"auth": base64.b64encode(b"me:a:b").decode()}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}), encoding="utf-8")
    assert shown(tmp_path, "r.example.com:5000/api@sha256:1") == {
        "username": "me", "password": "a:b", "serveraddress": "r.example.com:5000",
    }  # fmt: skip
    assert shown(tmp_path, "shop-api:1") == shown(tmp_path, "team/api:1") == {}


def test_a_helper_is_asked_for_a_login_that_it_keeps(tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-box"
    said = '{"Username": "me", "Secret": "word"}'
    helper.write_text(f"#!/bin/sh\n[ \"$1\" = get ] && echo '{said}'\n", encoding="utf-8")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credsStore": "box"}', encoding="utf-8")
    shell = {
        **os.environ, "DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }  # fmt: skip
    found = header(load(ROOT, "prod", shell=shell), "r.example.com/api:1")
    assert json.loads(base64.urlsafe_b64decode(found[HEADER]))["password"] == "word"
