"""What the log of attempts costs an enrollment: two controllers in turns, one of which keeps no log.

    python -m bench.attempts [ROUNDS [ENROLLMENTS]]

Exit code 1 when the log takes more than 5 % of the CPU time that an enrollment takes without it.
"""

from __future__ import annotations

import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from bench import client
from bench.machine import ROOT, fresh_server
from bench.run import Bench

MOST = 1.05
WORKERS = 8
# The same program, in which an attempt is forgotten at once.
WITHOUT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import app
from domain.care import attempts
attempts.Attempt.succeeded = lambda self, note="": setattr(self, "is_written", True)
attempts.AttemptLog.close = lambda self, attempt: None
sys.exit(app.main(sys.argv[1:]))
"""


def enroll(b: Bench, count: int) -> dict[str, Any]:
    """Enroll so many by one-time token, as SDKs do; gives the row of the table."""
    items = [(token, client.new_csr()[1]) for token in b.tokens(b.create(count))]
    b.measure("enroll", client.enroll, items, WORKERS)
    return b.rows[-1]


def measure(rounds: int, count: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """A pair of rows for each round: with the log and without."""
    pairs = []
    with (
        fresh_server() as with_log,
        fresh_server([sys.executable, "-c", WITHOUT]) as without,
        ProcessPoolExecutor(1) as pool,
    ):
        benches = [Bench(server, pool, {}) for server in (with_log, without)]
        for number in range(rounds + 1):
            order = benches if number % 2 else benches[::-1]
            rows = {id(b): enroll(b, count) for b in order}
            if number:  # the first warms up
                pairs.append((rows[id(benches[0])], rows[id(benches[1])]))
    return pairs


def main() -> int:
    """Measure and print."""
    rounds, count = [int(word) for word in sys.argv[1:]] + [40, 150][len(sys.argv) - 1 :]
    pairs = measure(rounds, count)
    for column, label in (("server_cpu_ms", "server CPU, ms"), ("per_second", "enrollments a second")):
        kept, none = ([pair[i][column] for pair in pairs] for i in (0, 1))
        # Other guests of the machine disturb single rounds by more than what is looked for: half of the pairs count.
        quotients = sorted(a / b for a, b in zip(kept, none, strict=True))
        ratio = statistics.mean(quotients[rounds // 4 : rounds - rounds // 4])
        both = f"{statistics.median(kept):7.2f} with the log, {statistics.median(none):7.2f} without"
        print(f"{label:22} {both}; ratio {ratio:.3f} (mean of the middle half of {rounds} pairs)")
        if column == "server_cpu_ms":
            slow = ratio
    return int(slow > MOST)


if __name__ == "__main__":
    sys.exit(main())
