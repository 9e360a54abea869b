"""What learns: masked language models under a PVP, and the stock classifier. Needs torch."""

import os

# Before torch is loaded: its threads sleep while they wait for each other. Spinning is a seventh faster on an idle
# machine, and three times slower as soon as anything else runs on it (a training on two cores, measured).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# oneDNN keeps what it has compiled for the last 1024 shapes, in two places, and batches of a large pool have that many:
# 0.6 MB each in bfloat16. Layers of a model share a few shapes; to compile these for each batch costs next to nothing.
os.environ.setdefault("LRU_CACHE_CAPACITY", "64")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
