"""Jobs done on a Ray cluster, which only schedules: results are files, and never travel through Ray.

    with connected("127.0.0.1:6379", cpus=8) as nodes:   # "auto": the one of this machine; "local": one of our own
        probe(nodes, folder, Needs(cpus=2))

Token authentication is used wherever there is a token, and asked for where an address is another machine's. No
dashboard, no runtime environment, no statistics; the object store is as small as Ray lets it be.
"""

import ipaddress
import os
import platform
import re
import secrets
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pet.errors import ConfigError
from pet.runs.executors.base import MOST_ATTEMPTS, POLL_SECONDS, Handle, Needs, Work, limit_threads
from pet.runs.identity import code_digest

STORE_BYTES = 75 * 2**20
"""What Ray lets the object store of a machine have at least."""

_SETTINGS = {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_USAGE_STATS_ENABLED": "0"}
_TRIES = "RAY_gcs_server_port_wait_time_s"
_ANSWER_SECONDS, _PROBE_SECONDS = 5.0, 120.0
_HOW = "start it with `ray start --head` on one machine and `ray start --address=HOST:PORT` on the others"


def check_ray() -> None:
    """Check that Ray is installed.

    Raises `ConfigError` if it is not.
    """
    if find_spec("ray") is None:
        raise ConfigError('run.executor = "ray" needs Ray: pip install "pet-labeling[ray]".')


@contextmanager
def connected(address: str, cpus: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Connect to a cluster, or start one of so many processors where the address is "local"; yield its machines.

    Raises `ConfigError` if nothing answers, the versions differ, a token is missing or wrong.
    """
    _prepare(address)
    import ray

    own: dict[str, Any] = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}
    try:
        with _as_it_was(), _impatient(address):
            ray.init(address=address, **(own if address == "local" else {}), **quiet)
    except Exception as error:
        raise _refused(address, error) from None
    try:
        yield [node for node in ray.nodes() if node["Alive"]]
    finally:
        ray.shutdown()


def probe(nodes: Sequence[Mapping[str, Any]], folder: Path, needs: Needs) -> None:
    """Ask every machine for its versions, and whether it sees the folder of the run, before anything is trained.

    Raises `ConfigError` if one has others, or does not, or none has what a job needs.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    wanted = {"CPU": needs.cpus, "GPU": needs.gpus, "memory": needs.memory}
    if not any(all(node["Resources"].get(name, 0) >= much for name, much in wanted.items()) for node in nodes):
        raise ConfigError(
            f"No machine of the Ray cluster has what a voter takes ({needs.cpus} CPUs, {needs.gpus:g} GPUs, "
            f"{needs.memory / 2**30:.1f} GiB): lower run.threads or run.gpus_per_voter, or add a machine."
        )
    nonce = secrets.token_hex(8)
    sign = folder / f".probe-{nonce}"
    sign.write_text(nonce, encoding="utf-8")
    try:
        look = ray.remote(num_cpus=0, max_retries=0)(_look)
        asked = [
            look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                str(sign)
            )
            for node in nodes
        ]
        found = ray.get(asked, timeout=_PROBE_SECONDS)
    except Exception as error:
        said = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise ConfigError(f"A machine of the Ray cluster cannot do jobs ({said[0]}): mend it, or stop it.") from None
    finally:
        sign.unlink(missing_ok=True)
    for node, other in zip(nodes, found, strict=True):
        _compare(str(node["NodeManagerAddress"]), other, _look(str(sign)), nonce, folder)


@dataclass
class OnRay:
    """Hands jobs to the cluster that this process is connected to."""

    work: Work
    _references: dict[Any, Handle] = field(default_factory=dict, init=False)

    def submit(self, folder: Path, needs: Needs) -> Handle:
        """Hand over the job of a folder, for a worker that has what it needs; one that is lost is replaced."""
        import ray

        task = ray.remote(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            memory=needs.memory or None,
            max_retries=MOST_ATTEMPTS,
            retry_exceptions=False,
        )(_do)
        reference = task.remote(self.work, str(folder), needs)
        self._references[reference] = Handle(folder)
        return self._references[reference]

    def as_completed(self) -> Iterator[Handle | None]:
        """Yield each job as it ends; None where none has for a while."""
        import ray

        while self._references:
            done, _ = ray.wait(list(self._references), num_returns=1, timeout=POLL_SECONDS, fetch_local=False)
            if not done:
                yield None
            for reference in done:
                handle, died = self._references.pop(reference), ""
                try:
                    ray.get(reference)
                except Exception as error:  # where it has failed by itself, its folder says why
                    died = f"A job on Ray ended without a word ({type(error).__name__}: {_first_line(error)})."
                yield replace(handle, died=died)

    def cancel(self) -> None:
        """End the jobs that are under way."""
        import ray

        for reference in self._references:
            with suppress(Exception):  # its machine is gone, or the whole cluster
                ray.cancel(reference, force=True)
        self._references.clear()


def _do(work: Work, folder: str, needs: Needs) -> None:
    """Do a job in a worker of Ray."""
    limit_threads(needs.cpus)  # Ray has set OMP_NUM_THREADS by its own rule
    if not needs.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a task of no GPU sees all of them
    work(folder)


def _look(sign: str) -> tuple[str, str, str, str]:
    """Return the versions of Python, Ray and pet, and what stands in a file ("": it is not seen)."""
    import ray

    try:
        seen = Path(sign).read_text(encoding="utf-8")
    except OSError:
        seen = ""
    return platform.python_version(), ray.__version__, code_digest()[:12], seen


def _compare(node: str, other: Sequence[str], own: Sequence[str], nonce: str, folder: Path) -> None:
    for name, there, here in zip(("Python", "Ray", "code of pet"), other, own, strict=False):
        if there != here:
            raise ConfigError(
                f"The machine {node} of the Ray cluster has {name} {there}, and this one has {here}: "
                "install the same version on all."
            )
    if other[-1] != nonce:
        raise ConfigError(
            f"The machine {node} of the Ray cluster does not see {folder}: choose an --output-dir on storage that "
            "all machines share, under the same path."
        )


def _prepare(address: str) -> None:
    """Set what Ray reads from the environment once, when it is loaded; it stays so for this process.

    Raises `ConfigError` if the address cannot be used.
    """
    os.environ.update(_SETTINGS)
    token = _has_token()
    if address not in ("auto", "local"):
        _check_address(address, token)
    if address == "local" and not token:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        token = True
    if token:
        os.environ["RAY_AUTH_MODE"] = "token"


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Keep what is done on SIGTERM: Ray would end the process in its own way."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with suppress(ValueError):  # not in the main thread, where nothing was set either
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _impatient(address: str) -> Iterator[None]:
    """Try an address once, for half a minute, where Ray would try it for ten; a cluster of our own takes its time."""
    given = os.environ.get(_TRIES)
    if address != "local" and given is None:
        os.environ[_TRIES] = "1"
    try:
        yield
    finally:
        if given is None:
            os.environ.pop(_TRIES, None)


def _has_token() -> bool:
    given = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(given) or (Path.home() / ".ray" / "auth_token").is_file()


def _check_address(address: str, token: bool) -> None:
    found = re.fullmatch(r"(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})", address)
    if not found:
        raise ConfigError(f'run.address = "{address}": expected "auto", "local" or HOST:PORT such as 10.0.0.5:6379.')
    host, port = found["host"].strip("[]"), int(found["port"])
    if not (token or _is_loopback(host)):
        raise ConfigError(
            f"{host} is another machine, and no token is there to know it by, so that anybody on the network could "
            "run code: make one with `ray get-auth-token --generate`, and give it to all machines (RAY_AUTH_TOKEN, "
            "RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token)."
        )
    try:
        socket.create_connection((host, port), timeout=_ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"No Ray cluster answers at {address} ({error}): {_HOW}.") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refused(address: str, error: Exception) -> ConfigError:
    said = " ".join(str(error).split())
    if "Version mismatch" in said:
        return ConfigError(f"{said}: install the same versions of Ray and Python, to the patch, on all machines.")
    if "uthenticat" in said or "token" in said:
        return ConfigError(f"The Ray cluster at {address} refuses the token ({_first_line(error)}): give it the same.")
    return ConfigError(f'No Ray cluster answers at "{address}" ({_first_line(error)}): {_HOW}.')


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "").rstrip(".")
