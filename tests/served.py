"""A server in a process of its own, and a client that sends HTTP over a socket with little work of its own."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = "import sys; from pet.cli import app; sys.argv[0] = 'pet'; app()"
PATIENCE = 300
"""Seconds in which a server has to be there: torch takes long to load where the machine is busy."""


@dataclass
class Server:
    """A process that serves, its port, and what it has said so far."""

    process: subprocess.Popen[str]
    port: int
    said: list[str] = field(default_factory=list)

    def post(self, path: str, body: object, **headers: str) -> tuple[int, Any]:
        """Send one request, and return the status and the answer."""
        return asyncio.run(self._post(path, body, headers))

    async def _post(self, path: str, body: object, headers: dict[str, str]) -> tuple[int, Any]:
        async with Connection(self.port) as one:
            status, answer = await one.send(request(path, json.dumps(body).encode(), **headers))
            return status, json.loads(answer)


@contextmanager
def running(model: Path, *flags: str, **environment: str) -> Iterator[Server]:
    """Serve a classifier while this is entered; the process is ended with SIGTERM, and has to end by itself."""
    command = [sys.executable, "-c", PROGRAM, "serve", str(model), "--port", "0", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | environment)
    server = Server(process, 0)
    reader = threading.Thread(target=lambda: server.said.extend(iter(process.stderr.readline, "")), daemon=True)
    reader.start()
    try:
        ends = time.monotonic() + PATIENCE
        while not (found := re.search(r"http://\S+?:(\d+)", "".join(server.said))):
            if process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"no server: {''.join(server.said)}")
            time.sleep(0.05)
        server.port = int(found[1])
        yield server
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
        reader.join(5)
        process.stderr.close()


def request(path: str, body: bytes, **headers: str) -> bytes:
    """Return a POST as it goes over the wire; without a body it is a GET."""
    lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", "Host: here", f"Content-Length: {len(body)}"]
    given = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines += [f"{name}: {value}" for name, value in given.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One connection that is kept open; entered anew where the server has closed it."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __aenter__(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, sent: bytes) -> tuple[int, bytes]:
        """Send a request, and return the status and the body of the answer."""
        if self._reader.at_eof() or self._writer.is_closing():
            self._writer.close()
            await self.__aenter__()
        self._writer.write(sent)
        head = await self._reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        return int(head.split(b" ", 2)[1]), await self._reader.readexactly(int(size[1]) if size else 0)
