"""`python -m pet` is the command `pet`."""

from pet.cli import app

if __name__ == "__main__":
    app(prog_name="pet")
