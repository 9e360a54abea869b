"""What the room loads: neither the learning libraries, nor the slow readers before a file needs them."""

import subprocess
import sys


def test_the_room_loads_no_heavy_library():
    heavy = {"torch", "transformers", "datasets", "pyarrow"}
    code = f"import sys, pet.data; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_once():
    import pet.data

    assert len(set(pet.data.__all__)) == len(pet.data.__all__)
    assert all(hasattr(pet.data, name) for name in pet.data.__all__)
