"""`pet serve`: a port is taken, the classifier loaded once, and requests are answered until the process is to end."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from pet.errors import ConfigError, ModelError
from pet.runs.directory import REVIEW, RunDirectory
from pet.serving.app import Served, make_app
from pet.serving.label_studio import Corrections
from pet.serving.nearest import LabeledRows
from pet.using.formats.rows import LabeledSet
from pet.using.predict import check_one_label, load_classifier, model_folder, sketch_of

_LOOPBACK = ("127.0.0.1", "::1", "localhost")

DRAIN = 30
"""Seconds that requests under way have to end in, once the process is told to."""


def serve(
    model: str | Path,
    host: str,
    port: int,
    token: str | None = None,
    *,
    label_studio: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Answer requests until the process is told to end (SIGTERM, SIGINT); those under way are answered first.

    Raises `ModelError` if there is no classifier. Raises `ConfigError` if the place cannot be listened at, or the token
    is none.
    """
    check_token(token)
    with listening(host, port) as listener:
        served = made_ready(model, token, label_studio=label_studio)
        for line in told(served, host, listener.getsockname()[1]):
            say(line)
        server_of(served).run(sockets=[listener])


def server_of(served: Served) -> uvicorn.Server:
    """Return what answers requests at a socket, once it is run."""
    config = uvicorn.Config(
        make_app(served), log_level="warning", access_log=False, timeout_graceful_shutdown=DRAIN, server_header=False
    )
    return uvicorn.Server(config)


def made_ready(model: str | Path, token: str | None = None, *, label_studio: bool = False) -> Served:
    """Load a classifier and what lies beside it.

    Raises `ModelError` if there is none, or it is not of the kind that gives each text one of its labels.
    """
    folder, classifier = model_folder(model), load_classifier(model)
    check_one_label(classifier)
    if classifier.form.chooses:
        raise ModelError(f"{folder} chooses among the candidates of a row, which is not served: use `pet predict`.")
    corrections = Corrections(review_file(model), classifier.form.labels, _run_of(model)) if label_studio else None
    name = folder.resolve().parent.name if folder.name == "model" else folder.resolve().name
    return Served(classifier, name, LabeledRows.of(classifier, folder), token, corrections, sketch_of(classifier))


def review_file(model: str | Path) -> Path:
    """Return where labels of people are kept: in the run, or for a model folder alone in the current folder."""
    run = RunDirectory(Path(model))
    return run.review_path if run.manifest_path.is_file() else Path(REVIEW)


def _run_of(model: str | Path) -> str:
    run = RunDirectory(Path(model))
    return LabeledSet.of(model).run if run.manifest_path.is_file() else ""


def check_token(token: str | None) -> None:
    """Refuse a token that no header can hold, or that is none: a `ConfigError` says so."""
    if token is not None and not (token.isascii() and token.isprintable() and token and " " not in token):
        raise ConfigError("The token is empty or has a blank or a sign that no header holds: use letters and digits.")


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a place; port 0 is any that is free.

    Raises `ConfigError` if the port is in use, not allowed or none, or the host is none of this machine.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"The port is {port}, expected one from 0 to 65535, such as 8080.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except PermissionError:
        reason, hint = "this user may not listen there", "give a --port from 1024 on"
    except socket.gaierror as error:
        reason, hint = (error.strerror or str(error)).lower(), "give a --host of this machine"
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        hint = "give another --port, or end what listens there"
    raise ConfigError(f"{host}, port {port} cannot be listened at ({reason}): {hint}.") from None


def told(served: Served, host: str, port: int) -> list[str]:
    """Return what a person should know of a server that begins."""
    place = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    lines = [f"serving {served.name} at {place}; a page to try it is there, what can be asked at {place}/docs"]
    if host in _LOOPBACK:
        lines.append("only this machine can reach it; --host 0.0.0.0 lets others, too")
    else:
        asked = "asks for the token" if served.token else "asks for no token (--token, or PET_TOKEN)"
        lines.append(f"! warning: whoever reaches this machine at {host} can use it; it {asked}, and encrypts nothing")
    if served.corrections:
        lines.append(
            f"Label Studio: connect {place} as a model and {place}/webhook; labels go to {served.corrections.file}"
        )
    return lines
