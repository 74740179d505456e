"""`python -m tests.fuzz.long TARGET SECONDS`: look for what must not happen by coverage, with atheris.

Needs `pip install atheris==3.0.0`. Inputs that reach new code go to build/fuzz/TARGET; one that fails is written beside
the corpus as `crash-…`. Put what is worth keeping into tests/fuzz/corpora/TARGET, small.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]


def main() -> None:
    name, seconds = sys.argv[1], sys.argv[2]
    with atheris.instrument_imports(include=["wire", "certs", "pki", "tokens", "api", "domain", "tls", "waitress"]):
        from tests.fuzz import targets

    found = Path("build/fuzz") / name
    found.mkdir(parents=True, exist_ok=True)
    kept = str(targets.CORPORA / name)
    options = [f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=1024", "-max_len=8192"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={kept}/", str(found), kept], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
