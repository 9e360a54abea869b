"""The endpoints: those of text-embeddings-inference, those that probes ask, the pages, and Label Studio's."""

import hmac
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pet import __version__
from pet.data.examples import Example
from pet.errors import PetError
from pet.labeling.drift import Sketch
from pet.learners.models.machine import TokenBudget
from pet.learners.students.base import Classifier
from pet.learners.students.sketch import Scorer
from pet.serving.batches import Batches
from pet.serving.bodies import checked, read_json
from pet.serving.label_studio import (
    VERSION,
    Corrections,
    Interface,
    SetupRequest,
    Tasks,
    TasksRequest,
    WebhookRequest,
)
from pet.serving.metrics import TYPE, Metrics
from pet.serving.nearest import LabeledRows
from pet.serving.pages import Page, docs_page, main_page
from pet.serving.refusals import Refused
from pet.serving.texts import MOST_ROWS, PredictRequest, PredictResponse, asked_rows, check_lengths, said_of

MOST_NEAR = 64
"""So many rows may be asked about at once which labeled ones are near them."""

BUDGET = TokenBudget(4096).tokens
"""Tokens of a batch; requests seldom fill more, and a GPU is not waited for by others meanwhile."""


@dataclass(frozen=True)
class Served:
    """A classifier to serve, its name, the labeled rows beside it (a sentence says why there are none).

    The `sketch` is of the pool that it learned from, where there is one. A `token` is asked of whoever sends texts;
    with `corrections` Label Studio is served too.
    """

    classifier: Classifier
    name: str
    labeled: LabeledRows | str
    token: str | None = None
    corrections: Corrections | None = None
    sketch: Sketch | None = None


class _Error(BaseModel):
    """Why a request was not done: a sentence, and the kind of error."""

    error: str
    error_type: str


def make_app(served: Served) -> FastAPI:
    """Return the application that serves a classifier."""
    endpoints = Endpoints(served)
    app = FastAPI(
        title=f"pet serve {served.name}",
        description="Labels for texts, by the schema of text-embeddings-inference.",
        version=__version__,
        docs_url=None,  # the usual page loads its scripts from elsewhere
        redoc_url=None,
        lifespan=endpoints.lifespan,
    )
    endpoints.add_to(app)
    app.add_middleware(_Measured, metrics=endpoints.metrics)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _not_there)
    app.add_exception_handler(PetError, _failed)
    endpoints.docs = docs_page(served.name, app.openapi())
    return app


class Endpoints:
    """What a server answers."""

    docs: Page

    def __init__(self, served: Served) -> None:
        self.served, self.form = served, served.classifier.form
        self.metrics = Metrics(self.form.labels, served.sketch)
        scorer = Scorer.of(served.classifier, served.sketch)
        self._limit = served.sketch.limit if served.sketch and scorer.references else None
        self.batches = Batches(scorer.scores, self.form.max_length, BUDGET, seen=self.metrics.batch)
        why_not = served.labeled if isinstance(served.labeled, str) else ""
        self._page = main_page(served.name, self.form, why_not)

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Compute while the server runs; requests that are under way at its end are answered before."""
        self.batches.start()
        yield
        await self.batches.stop()

    def add_to(self, app: FastAPI) -> None:
        """Add all endpoints to an application."""
        guarded: dict[str, Any] = {"dependencies": [Depends(self.allowed)], "responses": _ERRORS}
        app.add_api_route("/", self.page, response_class=HTMLResponse, include_in_schema=False)
        app.add_api_route("/docs", self.docs_page, response_class=HTMLResponse, include_in_schema=False)
        for path in ("/health", "/v2/health/live", "/v2/health/ready"):
            app.add_api_route(path, self.health, name=path)
        app.add_api_route("/info", self.info, **guarded)
        app.add_api_route("/metrics", self.figures, **guarded)
        taken: dict[str, Any] = {"methods": ["POST"], **guarded}
        app.add_api_route(
            "/predict", self.predict, response_model=PredictResponse, openapi_extra=_body(PredictRequest), **taken
        )
        app.add_api_route("/nearest", self.nearest, openapi_extra=_body(PredictRequest), **taken)
        if self.served.corrections:
            app.add_api_route("/setup", self.setup, openapi_extra=_body(SetupRequest), **taken)
            app.add_api_route("/webhook", self.webhook, openapi_extra=_body(WebhookRequest), **taken)

    async def allowed(self, request: Request) -> None:
        """Refuse whoever has not the token, as a bearer or as the password of the basic scheme."""
        token, given = self.served.token, request.headers.get("authorization", "")
        if token is None or hmac.compare_digest(_secret(given), token.encode()):
            return
        raise Refused(401, "This server asks for a token: send it as Authorization: Bearer TOKEN.", "unauthorized")

    async def page(self) -> HTMLResponse:
        """Show a page to paste texts into."""
        return HTMLResponse(self._page.text, headers=self._page.headers)

    async def docs_page(self) -> HTMLResponse:
        """Show what can be asked."""
        return HTMLResponse(self.docs.text, headers=self.docs.headers)

    async def health(self) -> JSONResponse:
        """Say that the server lives and is ready: it answers only once the classifier is loaded."""
        up = self.batches.alive
        return JSONResponse({"status": "UP" if up else "DOWN", "live": up, "ready": up}, 200 if up else 503)

    async def info(self) -> dict[str, Any]:
        """Say what is served, and its limits."""
        labels = self.form.labels
        names, places = {str(i): label for i, label in enumerate(labels)}, {label: i for i, label in enumerate(labels)}
        return {
            "model_id": self.served.name,
            "model_type": {"classifier": {"id2label": names, "label2id": places}},
            "fields": list(self.form.columns),
            "max_input_length": self.form.max_length,
            "max_batch_tokens": self.batches.budget,
            "max_client_batch_size": MOST_ROWS,
            "auto_truncate": True,
            "version": __version__,
        }

    async def figures(self) -> Response:
        """Give figures as Prometheus reads them."""
        return Response(self.metrics.text(self.batches.tokens), media_type=TYPE)

    async def predict(self, request: Request) -> JSONResponse:
        """Label texts; all labels of each, the most probable first. With --label-studio also tasks of it."""
        found = await read_json(request)
        if self.served.corrections and "tasks" in found:
            return JSONResponse(await self._label_tasks(checked(TasksRequest, found)))
        wanted = checked(PredictRequest, found)
        asked = asked_rows(wanted.inputs, self.form.columns)
        if wanted.truncate is False:
            await self.batches.call(lambda: check_lengths(self.served.classifier, asked.rows))
        probs = await self._probabilities(asked.rows)
        said = said_of(probs, self.form.labels, raw=wanted.raw_scores)
        return JSONResponse(said if asked.batch else said[0])

    async def _probabilities(self, rows: Sequence[Example]) -> np.ndarray:
        """Return label probabilities, float32 [n, k]; what was said goes into the figures."""
        scores, k = await self.batches.scores(rows), len(self.form.labels)
        unfamiliar = 0 if self._limit is None else int((scores[:, k] > self._limit).sum())
        self.metrics.labeled(scores[:, :k], unfamiliar)
        return scores[:, :k]

    async def nearest(self, request: Request) -> dict[str, Any]:
        """Find the labeled rows that are nearest to texts, in the classifier's own vectors, by their cosine."""
        labeled = self.served.labeled
        asked = asked_rows(checked(PredictRequest, await read_json(request)).inputs, self.form.columns)
        if isinstance(labeled, str):
            return {"nearest": None, "reason": labeled}
        if len(asked.rows) > MOST_NEAR:
            raise Refused(413, f"{len(asked.rows)} rows, expected at most {MOST_NEAR}: send several requests.")
        return {"nearest": await self.batches.call(lambda: labeled.near(asked.rows))}

    async def setup(self, request: Request) -> dict[str, str]:
        """Label Studio: say which model this is, if it fits the project's labeling interface."""
        wanted = checked(SetupRequest, await read_json(request))
        if wanted.label_config:
            Interface.of(wanted.label_config, self.form)
        return {"model_version": VERSION}

    async def webhook(self, request: Request) -> JSONResponse:
        """Label Studio: keep what people say of rows."""
        assert self.served.corrections is not None  # else there is no such path
        kept = await self.served.corrections.hear(checked(WebhookRequest, await read_json(request)))
        return JSONResponse({"status": "ok", "kept": kept}, 201 if kept else 200)

    async def _label_tasks(self, wanted: TasksRequest) -> dict[str, Any]:
        tasks, labels = Tasks.of(wanted, self.form), self.form.labels
        if not tasks.rows:
            return {"results": tasks.none, "model_version": VERSION}
        probs = await self._probabilities(tasks.rows)
        return {"results": tasks.predictions(probs, labels), "model_version": VERSION}


_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": _Error, "description": about}
    for status, about in (
        (401, "Without the token"),
        (413, "Too large, too many rows, or too many tokens"),
        (415, "Not sent as JSON"),
        (422, "Not as expected"),
        (429, "Too much waits already"),
    )
}


def _body(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the description of a body, which an endpoint reads itself, since it is limited."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": kind.model_json_schema()}}}}


def _secret(authorization: str) -> bytes:
    """Return what a header says to be the token."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return b64decode(given, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return given.strip().encode() if scheme.lower() == "bearer" else b""


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    headers: Mapping[str, str] = {429: {"Retry-After": "1"}, 401: {"WWW-Authenticate": "Bearer"}}.get(error.status, {})
    return JSONResponse(error.as_json(), error.status, headers=dict(headers))


async def _not_there(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    found = {404: f"There is no {request.url.path} here", 405: f"{request.method} is not for {request.url.path}"}
    sentence = f"{found.get(error.status_code, error.detail)}: see /docs for what can be asked."
    return JSONResponse(Refused(error.status_code, sentence).as_json(), error.status_code, headers=error.headers)


async def _failed(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse(Refused(500, str(error), "backend").as_json(), 500)


class _Measured:
    """Notes what each request was answered with, and how long that took."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def sent(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, sent)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self.metrics.request(path, status, time.perf_counter() - started)
