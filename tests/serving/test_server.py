"""Over a real socket: many clients at once, bad ones among them, an end that drains; and what cannot be listened at."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from served import Connection, request, running
from serving import BAD, clients, with_bad_ones
from typer.testing import CliRunner

from pet.cli import app
from pet.errors import ConfigError
from pet.serving.app import Served
from pet.serving.server import check_token, listening, made_ready, review_file, server_of, told
from pet.using.predict import predict

TEXTS = [f"{word} match good {number}" for number in range(10) for word in ("team", "bank", "robot")]


@contextmanager
def answering(served: Served) -> Iterator[int]:
    """Answer at a port, in a thread of this process."""
    with listening("127.0.0.1", 0) as listener:
        server = server_of(served)
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)


def test_many_clients_and_bad_ones_among_them(folder: Path) -> None:
    expected = {text: row.label for text, row in zip(TEXTS, predict(folder, TEXTS), strict=True)}
    sent = [request("/predict", json.dumps({"inputs": text}).encode()) for text in TEXTS]

    async def ask(port: int) -> list[str]:
        async with Connection(port) as one:
            return [json.loads((await one.send(body))[1])[0]["label"] for body in sent]

    with answering(made_ready(folder)) as port:
        load, bad, wrong = asyncio.run(with_bad_ones(port, sent, len(BAD)))
        assert load.statuses == {200: len(sent)}
        assert bad >= len(BAD) and wrong == 0
        assert asyncio.run(ask(port)) == list(expected.values())
        assert asyncio.run(clients(port, [request("/health", b"")])).statuses == {200: 1}


@pytest.mark.slow
def test_a_process_that_is_told_to_end_answers_first(folder: Path) -> None:
    async def ask(port: int, process: object) -> list[int]:
        async def one() -> int:
            async with Connection(port) as line:
                status, answer = await line.send(request("/predict", json.dumps({"inputs": TEXTS * 30}).encode()))
                assert len(json.loads(answer)) == len(TEXTS) * 30
                return status

        waiting = [asyncio.create_task(one()) for _ in range(8)]
        await asyncio.sleep(1.0)  # all have come by then, and some are not answered
        process.terminate()  # type: ignore[attr-defined]
        return await asyncio.gather(*waiting)

    with running(folder, PET_TOKEN="") as server:
        assert "only this machine can reach it" in "".join(server.said)
        assert asyncio.run(ask(server.port, server.process)) == [200] * 8
        assert server.process.wait(60) in (0, -15, 143)


def test_a_port_in_use_a_host_that_is_none_and_a_token_that_is_none(folder: Path, tmp_path: Path) -> None:
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        said = CliRunner().invoke(app, ["serve", str(folder), "--port", str(port)])
        assert (
            said.exit_code == 2
            and f"127.0.0.1, port {port} cannot be listened at (address already in use)" in said.output
        )
    for host, number in (("no.such.host.invalid", 0), ("203.0.113.7", 0)):
        with pytest.raises(ConfigError, match="cannot be listened at"):
            listening(host, number)
    with pytest.raises(ConfigError, match="The port is 70000, expected one from 0"):
        listening("127.0.0.1", 70_000)
    for token in ("", "two words", "für"):
        with pytest.raises(ConfigError, match="The token is empty or has a blank"):
            check_token(token)
    check_token(None)
    for model in (tmp_path, tmp_path / "none"):
        said = CliRunner().invoke(app, ["serve", str(model), "--port", "0"])
        assert said.exit_code == 2 and "Traceback" not in said.output


def test_a_classifier_of_a_newer_version_is_refused(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"pet": {**config["pet"], "senses": 6}}))
    said = CliRunner().invoke(app, ["serve", str(tmp_path), "--port", "0"])
    assert said.exit_code == 2
    assert "written by a newer version of pet (its config.json has 'senses'" in said.output


def test_what_a_person_is_told(folder: Path, tmp_path: Path) -> None:
    served = made_ready(folder, "secret", label_studio=True)
    first, second, third = told(served, "127.0.0.1", 8080)
    assert "http://127.0.0.1:8080" in first and "only this machine" in second and "review.csv" in third
    assert "secret" not in "".join((first, second, third))
    assert "asks for the token" in told(served, "0.0.0.0", 80)[1]
    assert "asks for no token" in told(Served(served.classifier, "x", ""), "::", 80)[1]
    (tmp_path / "manifest.json").write_text("{}")  # as a run has one
    assert review_file(tmp_path) == tmp_path / "review.csv" and review_file(folder) == Path("review.csv")


def test_the_extra_that_is_missing_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "pet.serving.server")
    said = CliRunner().invoke(app, ["serve", str(folder)])
    assert said.exit_code == 2 and "pip install 'pet-labeling[serve]'" in said.output
