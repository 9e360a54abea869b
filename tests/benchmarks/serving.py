"""A served classifier against `pet predict`: rows per second, times of requests, bad bodies in between, memory.

    python tests/benchmarks/serving.py RUN [--requests 20000] [--rounds 3] [--rows 1400] [--alike] [--json FILE]

RUN is a finished run; the rows are those of its pool, over again where they are too few. 16 clients send single rows
over a real socket, each the next one once it is answered; then `pet predict` labels the same rows in this process, in
float32 as the server does, while that one waits. Medians of the rounds are told. Then the same with 64 clients that
send bad bodies beside them; then `--requests` single rows, and the memory of the server at each tenth of them. With
`--alike` 1,000 rows go through `pet predict`, transformers, ONNX Runtime and the server, and what they say is compared.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))
from served import Connection, Server, request, running

from pet.data.examples import Example
from pet.method.labels import read_labeled_rows
from pet.settings.run import RunSettings
from pet.using.predict import load_classifier, predict

CLIENTS, BAD_CLIENTS = 16, 64
BAD: Sequence[tuple[int, bytes]] = (
    (422, b"no JSON"),
    (422, b'{"inputs": 5}'),
    (422, b'{"inputs": ""}'),
    (422, b'{"inputs": []}'),
    (422, b'{"input": "a"}'),
    (422, b'{"inputs": ["a", null]}'),
    (422, b'{"inputs": "\\ud800"}'),
    (422, b'{"inputs": ["a", ["b", "c"]]}'),
    (422, b"[" * 5000),
    (413, json.dumps({"inputs": "a " * 500_000}).encode()),
    (413, json.dumps({"inputs": ["a"] * 10_000}).encode()),
    (413, b" " * 2_100_000),
)


@dataclass(frozen=True)
class Load:
    """What clients met: seconds in all, and of each request in order, and how many answers had which status."""

    seconds: float
    times: Sequence[float]
    statuses: Counter[int]

    @property
    def p99(self) -> float:
        """Milliseconds that all but one request in a hundred took at most."""
        return 1000 * float(np.quantile(self.times, 0.99))


async def clients(port: int, sent: Sequence[bytes], count: int = CLIENTS) -> Load:
    """Send requests by so many clients, each the next one once it is answered."""
    left, times, statuses = iter(sent), list[float](), Counter[int]()

    async def client() -> None:
        async with Connection(port) as one:
            for body in left:
                started = time.perf_counter()
                status, _ = await one.send(body)
                times.append(time.perf_counter() - started)
                statuses[status] += 1

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(count)))
    return Load(time.perf_counter() - started, times, statuses)


async def with_bad_ones(port: int, sent: Sequence[bytes], count: int = BAD_CLIENTS) -> tuple[Load, int, int]:
    """Do the same while others send a bad body each second; also return how many of these, and how many went wrong."""
    found, wrong, over = 0, list[str](), False

    async def bad(bodies: Iterator[tuple[int, bytes]]) -> None:
        nonlocal found
        async with Connection(port) as one:
            for expected, body in bodies:
                status, answer = await one.send(request("/predict", body))
                found += 1
                if status != expected or not json.loads(answer)["error"].endswith("."):
                    wrong.append(f"{status} instead of {expected} for {body[:30]!r}")
                if over:
                    return
                await asyncio.sleep(1.0)

    others = [asyncio.create_task(bad(islice(cycle(BAD), start, None))) for start in range(count)]
    load = await clients(port, sent)
    over = True
    await asyncio.gather(*others)
    for line in wrong[:5]:
        print("  wrong:", line)
    return load, found, len(wrong)


@dataclass(frozen=True)
class Found:
    """What was found; rows per second, milliseconds, megabytes."""

    rows: int
    served: float
    predicted: float
    ratio: float
    p99: float
    with_bad: float
    p99_with_bad: float
    bad: int
    wrong: int
    errors: int
    requests: int
    megabytes: Sequence[float]


def measured(server: Server, classifier: Any, texts: Sequence[Any], rounds: int, requests: int) -> Found:
    """Measure a server against its classifier in this process."""
    sent = [request("/predict", json.dumps({"inputs": text}).encode()) for text in texts]
    loads, seconds = [], []
    asyncio.run(clients(server.port, sent[:200]))
    predict(classifier, texts[:200])
    for _ in range(rounds):
        loads.append(asyncio.run(clients(server.port, sent)))
        started = time.perf_counter()
        predict(classifier, texts)
        seconds.append(time.perf_counter() - started)
        print(f"  round: served {len(sent) / loads[-1].seconds:.0f}, predicted {len(sent) / seconds[-1]:.0f} rows/s")
    among, bad, wrong = asyncio.run(with_bad_ones(server.port, sent))
    memory, done = [_megabytes(server)], 0
    for _ in range(10):
        load = asyncio.run(clients(server.port, list(islice(cycle(sent), requests // 10))))
        done += load.statuses[200]
        memory.append(_megabytes(server))
        print(f"  {done} requests: {memory[-1]:.0f} MB")
    errors = sum(count for load in (*loads, among) for status, count in load.statuses.items() if status != 200)
    served = len(sent) / median(load.seconds for load in loads)
    ratio = median(own / load.seconds for own, load in zip(seconds, loads, strict=True))
    return Found(
        rows=len(texts),
        served=served,
        predicted=len(sent) / median(seconds),
        ratio=ratio,
        p99=median(load.p99 for load in loads),
        with_bad=len(sent) / among.seconds,
        p99_with_bad=among.p99,
        bad=bad,
        wrong=wrong,
        errors=errors + requests // 10 * 10 - done,
        requests=done,
        megabytes=memory,
    )


def _megabytes(server: Server) -> float:
    return float(psutil.Process(server.process.pid).memory_info().rss) / 2**20


def alike(run: Path, server: Server, rows: Sequence[Example]) -> dict[str, tuple[float, float]]:
    """Compare what `pet predict` says with three others: the share of equal labels, and the largest difference."""
    import transformers

    from pet.using.export import export_classifier

    classifier = load_classifier(run)
    names, texts = list(classifier.form.labels), [tuple(row.fields.values()) for row in rows]
    ours = np.asarray([list(one.probs.values()) for one in predict(run, texts)])
    pipe: Any = transformers.pipeline("text-classification", model=str(run / "model"), device="cpu", top_k=None)
    pairs = [{"text": first, "text_pair": " ".join(others)} if others else first for first, *others in texts]
    stock = [{one["label"]: one["score"] for one in found} for found in pipe(pairs, truncation=True)]
    with tempfile.TemporaryDirectory() as folder:
        exported = export_classifier(run, Path(folder) / "onnx")
        onnx = np.asarray([list(one.probs.values()) for one in predict(exported.folder, texts)])
    answers = [server.post("/predict", {"inputs": texts[start : start + 500]}) for start in range(0, len(texts), 500)]
    served = [{one["label"]: one["score"] for one in row} for _, said in answers for row in said]
    found = {"transformers": stock, "served": served}
    others = {name: np.asarray([[row[label] for label in names] for row in said]) for name, said in found.items()}
    return {
        name: (float((ours.argmax(1) == said.argmax(1)).mean()), float(np.abs(ours - said).max()))
        for name, said in {**others, "ONNX Runtime": onnx}.items()
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description="A served classifier against pet predict.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1400)
    parser.add_argument("--alike", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(argv)
    classifier = load_classifier(asked.run, RunSettings(precision="fp32"))
    labeled = read_labeled_rows(asked.run / "pseudo_labels.parquet", classifier.form.columns, classifier.form.labels)
    rows = list(islice(cycle(labeled.examples), asked.rows))
    texts: list[Any] = [found if len(found := tuple(row.fields.values())) > 1 else found[0] for row in rows]
    with running(asked.run) as server:
        if asked.alike:
            for name, (same, apart) in alike(asked.run, server, rows[:1000]).items():
                print(f"{name}: {same:.1%} of the labels alike, probabilities within {apart:.1e}")
        figures = measured(server, classifier, texts, asked.rounds, asked.requests)
    print(json.dumps(asdict(figures), indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
