"""What the room loads: neither the learning libraries, nor the slow readers before a file needs them."""

import subprocess
import sys


def test_the_room_loads_no_heavy_library() -> None:
    heavy = {"torch", "transformers", "datasets"}
    code = (
        f"import sys, pet.data.readers, pet.data.dataset, pet.data.writers; print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
