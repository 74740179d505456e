"""How far the answers agree with the recorded ones of the real controller, and that the rest is explained."""

from __future__ import annotations

import fnmatch

import pytest

from tools import agreement

CODES, WHOLE = 0.96, 0.92
# Enrollments that the recorder repeats with the same key (docs/guide/replay.md).
REPEATED = {
    "enroll_ott: /enroll/ott same token again",
    "enroll_ott: legacy same token again",
    "enroll_ottca: same token again",
    "routers: generic erott again",
    "transit_routers: transit: enroll trott again",
}

# The recorder tries old TLS versions on purpose, which Python warns of.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not (agreement.SHARED / "reference").is_dir(),
        reason=f"no recorded answers: {agreement.SHARED} is not beside this checkout",
    ),
]


def unexplained(differing) -> list[str]:
    listed = agreement.listed_differences()
    steps = [f"{topic}: {step}" for topic, step, _ in differing]
    return [step for step in steps if not any(fnmatch.fnmatchcase(step, pattern) for pattern in listed)]


def enough(counted) -> None:
    total = counted["total"]
    table = "\n".join(f"{name}: {counts}" for name, counts in [*counted["topics"].items(), ("total", total)])
    assert total["code"] >= CODES * total["steps"], table
    assert total["agrees"] >= WHOLE * total["steps"], table


def test_answers_agree_with_the_recorded_ones(make_controller, tmp_path):
    """Steps that differ are listed in docs/differences.md, and there are few of them.

    Of all that an enrolling client and its administrator need, at least 96 % of the codes and 92 % of whole
    answers are a standalone controller's. The same holds over all steps that the real controller answers
    without failing itself. Repeated enrollments are refused as there; the next test has the default.
    """
    server = make_controller("--replay-minutes", "0", admin_password="admin")
    out, topics = tmp_path / "answers", agreement.ALL_TOPICS
    agreement.record(server.url, "admin", "admin", out, topics)
    reference = agreement.standalone_reference(tmp_path / "standalone")
    differing = agreement.differing(reference, out, topics)
    assert unexplained(differing) == []
    enough(agreement.compare(reference, out, agreement.TOPICS))

    total = agreement.compare(reference, out, topics)["total"]
    failing = agreement.defects(reference, topics)
    assert total["steps"] > 2000
    sound = total["steps"] - len(failing)
    differ = [d for d in differing if (d[0], d[1]) not in failing]
    assert sound - len(differ) >= WHOLE * sound
    wrong_codes = [d for d in differ if any(line.startswith(("status:", "code:", "no such step")) for line in d[2])]
    assert sound - len(wrong_codes) >= CODES * sound


def test_repeated_enrollments_are_all_that_the_default_changes(make_controller, tmp_path):
    """The recorder repeats the key together with the token: five steps get their certificate again."""
    server = make_controller(admin_password="admin")
    out, topics = tmp_path / "answers", ["enroll_ott", "enroll_ottca", "routers"]
    agreement.record(server.url, "admin", "admin", out, topics)
    reference = agreement.standalone_reference(tmp_path / "standalone")
    differing = agreement.differing(reference, out, [*topics, "transit_routers"])
    allowed = {f"{topic}: {step}" for topic, step, lines in differing if _is_now_allowed(lines)}
    assert {step for step in allowed if step.endswith("again")} == REPEATED


def _is_now_allowed(lines) -> bool:
    """Whether a step was refused for its token there and is answered here."""
    return lines[0] == "status: 400 | 200" and "INVALID_ENROLLMENT_TOKEN" in lines[1]


def test_the_fabric_answers_as_recorded(make_controller, tmp_path):
    """The fabric API, health checks and metrics, as far as they can be asked without a router online."""
    server = make_controller("--metrics", "on", admin_password="admin")
    out, topics = tmp_path / "answers", ["fabric", "health"]
    agreement.record(server.url, "admin", "admin", out, topics)
    reference = agreement.standalone_reference(tmp_path / "standalone")
    assert unexplained(agreement.differing(reference, out, topics)) == []
    enough(agreement.compare(reference, out, ["fabric"]))
