"""Pattern-Exploiting Training: a few labeled rows and a pile of text in, a labeled data set and a classifier out.

>>> import pet
>>> result = pet.run(pet.RunConfig.from_toml("my.toml"))  # doctest: +SKIP
>>> pet.predict(result.model, ["Where is my parcel?"])  # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

from pet.errors import PetError

if TYPE_CHECKING:
    from pet import plot
    from pet.ablation.ablate import ablate
    from pet.ablation.result import AblationResult
    from pet.method.callbacks import Callback
    from pet.method.place import RunResult
    from pet.method.several.place import SetResult
    from pet.pipeline import distill, label, run, run_several
    from pet.reports.frames import Run, read_run
    from pet.settings.config import RunConfig
    from pet.using.predict import Prediction, predict
    from pet.using.several import SetPrediction, predict_several

__all__ = [
    "AblationResult",
    "Callback",
    "PetError",
    "Prediction",
    "Run",
    "RunConfig",
    "RunResult",
    "SetPrediction",
    "SetResult",
    "__version__",
    "ablate",
    "distill",
    "label",
    "plot",
    "predict",
    "predict_several",
    "read_run",
    "run",
    "run_several",
]

__version__ = "0.1.0"

_LAZY = {
    "AblationResult": "pet.ablation.result",
    "ablate": "pet.ablation.ablate",
    "Callback": "pet.method.callbacks",
    "RunConfig": "pet.settings.config",
    "RunResult": "pet.method.place",
    "distill": "pet.pipeline",
    "label": "pet.pipeline",
    "run": "pet.pipeline",
    "run_several": "pet.pipeline",
    "SetResult": "pet.method.several.place",
    "SetPrediction": "pet.using.several",
    "predict_several": "pet.using.several",
    "Run": "pet.reports.frames",
    "read_run": "pet.reports.frames",
    "plot": "pet.plot",
    "Prediction": "pet.using.predict",
    "predict": "pet.using.predict",
}


def __getattr__(name: str) -> Any:
    """Import the heavy parts when they are asked for: `import pet` loads neither torch nor transformers."""
    if name not in _LAZY:
        raise AttributeError(f"module 'pet' has no attribute {name!r}")
    found = importlib.import_module(_LAZY[name])
    return found if _LAZY[name] == f"pet.{name}" else getattr(found, name)
