"""The benchmark: ``python -m tests.bench [ONLY=limit,hot,spread,latency]``."""
