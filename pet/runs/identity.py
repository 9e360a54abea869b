"""What the code of a run is, as a digest."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "numpy")


@cache
def code_digest() -> str:
    """Return the sha256 (hex) over pet's source files and the versions of the libraries that do its arithmetic."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        if "_builtin" not in path.parts:
            digest.update(path.read_bytes())
    for name in _LIBRARIES:
        digest.update(f"{name}={version(name)};".encode())
    return digest.hexdigest()
