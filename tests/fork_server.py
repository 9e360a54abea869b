"""Starts the pet command in forked processes, each ready at once, as lines of JSON tell it to.

In: {"arguments": [...], "stderr": FILE}. Out: {"pid": ...} at once. In: {"wait": PID}. Out: {"code": ...}, negative for
a signal. Torch is imported here once and never used here, so that no thread of it is lost in a fork.
"""

import json
import os
import signal
import sys
from pathlib import Path

import pet.pipeline
import pet.pretraining.pretrain
import pet.using.predict
from pet.cli import app


def start(arguments: list[str], stderr: str) -> int:
    """Run the command in a fork; return its process id."""
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Path(stderr).open("ab") as errors, Path(os.devnull).open("wb") as nowhere:
        os.dup2(errors.fileno(), 2)
        os.dup2(nowhere.fileno(), 1)
    code = 1
    try:
        app(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(code)


def main() -> None:
    """Serve until the input ends."""
    print(json.dumps({"ready": pet.__version__}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = {"code": os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])}
        else:
            answer = {"pid": start(order["arguments"], order["stderr"])}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
