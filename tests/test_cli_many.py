"""Many at once on the command line: changes in one transaction, and their tokens in every form."""

from __future__ import annotations

import re
import stat
import zipfile

import pytest

import tokens
from tests.flows import unique


@pytest.fixture
def boxes(api) -> list[str]:
    """Three identities that wait, with an attribute that nobody else has."""
    names = [unique("box") for _ in range(3)]
    for name in names:
        body = {"name": name, "type": "Device", "isAdmin": False, "roleAttributes": [names[0]]}
        api.create("/identities", {**body, "enrollment": {"ott": True}})
    return names


def of(names: list[str]) -> str:
    """The filter that finds those identities."""
    return f'anyOf(roleAttributes) = "{names[0]}"'


def row(api, name: str):
    (found,) = api.get("/identities", filter=f'name = "{name}"').ok()
    return found


def test_from_tags_to_the_end(anywhere, api, boxes):
    """What an administrator does to many, by names, an id or a filter; as the API does it."""
    first, second, third = boxes
    assert "would be tagged" in anywhere.run("identity", "tag", first, "--add", "lab", "--dry-run")
    assert row(api, first)["roleAttributes"] == [first]
    anywhere.run("identity", "tag", first, row(api, second)["id"], "--add", "lab", "--remove", first, "--set", "site=7")
    assert row(api, first)["roleAttributes"] == row(api, second)["roleAttributes"] == ["lab"]
    assert row(api, first)["tags"] == {"site": "7"}
    anywhere.run("identity", "disable", third, "--for", "2h")
    assert row(api, third)["disabledUntil"]
    assert f"{third} is enabled" in anywhere.run("identity", "enable", "--filter", of(boxes))
    assert not row(api, third)["disabled"]
    anywhere.run("identity", "delete", *boxes)
    assert api.get("/identities", filter=f'name in ["{first}", "{second}", "{third}"]').ok() == []


def test_new_tokens_for_those_that_wait(cli, api, boxes):
    before = row(api, boxes[0])["enrollment"]["ott"]["jwt"]
    renewed = cli.run("identity", "renew", "--filter", of(boxes), "--expires", "2d", "--output", "jwt").split()
    assert sorted(renewed) == sorted(row(api, name)["enrollment"]["ott"]["jwt"] for name in boxes)
    assert before not in renewed
    assert {tokens.peek(jwt)[1]["em"] for jwt in renewed} == {"ott"}
    listed = cli.run("identity", "list", of(boxes), "--output", "jwt").split()
    assert sorted(listed) == sorted(renewed)


def test_what_is_out_gets_a_token_again(cli, api, boxes):
    (cli.folder / "box.jwt").write_text(cli.run("identity", "token", boxes[0]))
    cli.run("enroll", "box.jwt")
    refused = cli.done("identity", "renew", *boxes[:2], code=1)
    assert "has no pending token to renew" in refused.stderr
    assert "1 of 2 were refused, so nothing was changed" in refused.stderr
    report = cli.done("identity", "renew", *boxes[:2], "--skip", code=1)
    assert report.stdout == f"{boxes[1]} is renewed\n"
    assert cli.run("identity", "reissue", boxes[0]) == f"{boxes[0]} is re-issued\n"
    assert row(api, boxes[0])["enrollment"]["ott"]["jwt"] == cli.run("identity", "get", boxes[0], "-o", "jwt").strip()


def test_nobody_is_deleted_by_accident(cli, api, boxes):
    waiting = f'enrollmentState = "pending" and {of(boxes)}'
    assert "that would delete 3 identities" in cli.run("identity", "delete", "--filter", waiting, code=2)
    assert cli.run("identity", "delete", "--filter", of(boxes), "--dry-run").count("would be deleted") == 3
    missing = cli.run("identity", "delete", boxes[0], "nobody-there", code=3)
    assert "'nobody-there'" in missing
    refused = cli.done("identity", "delete", boxes[0], "admin", code=1)
    assert refused.stdout == ""
    assert len(api.get("/identities", filter=of(boxes)).ok()) == 3
    assert cli.run("identity", "delete", "--filter", of(boxes), "--yes").count("is deleted") == 3


@pytest.mark.parametrize("words", [["delete"], ["tag", "x"], ["enable", "x", "--filter", "true"], ["tokens", "x.txt"]])
def test_half_a_sentence_is_refused(cli, words):
    assert cli.run("identity", *words, code=2).startswith("zitilite: ")


def test_tokens_of_many_in_one_file(anywhere, boxes):
    """The form is that of the file's name; whoever else is on the machine cannot read it."""
    anywhere.run("identity", "tokens", "all.zip", "--filter", of(boxes))
    with zipfile.ZipFile(anywhere.folder / "all.zip") as archive:
        assert {f"{name}.jwt" for name in boxes} < set(archive.namelist())
    anywhere.run("identity", "tokens", "two.csv", *boxes[:2])
    assert (anywhere.folder / "two.csv").read_text().count("ott") == 2
    anywhere.run("identity", "tokens", "sheet.html", *boxes)
    assert (anywhere.folder / "sheet.html").read_text().count("<section>") == 3
    files = [anywhere.folder / name for name in ("all.zip", "two.csv", "sheet.html")]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert "is there already" in anywhere.run("identity", "tokens", "all.zip", code=2)


def test_a_token_is_drawn(cli, boxes):
    cli.run("identity", "token", boxes[0], "--qr", "box.svg")
    assert "<svg" in (cli.folder / "box.svg").read_text()
    cli.run("identity", "token", boxes[0], "--qr", "box.png")
    assert (cli.folder / "box.png").read_bytes().startswith(b"\x89PNG")
    assert ".svg or .png" in cli.run("identity", "token", boxes[0], "--qr", "box.gif", code=2)


def test_routers_are_many_as_well(cli, api):
    names = [unique("router") for _ in range(2)]
    for name in names:
        cli.run("router", "create", name, "-a", names[0])
    cli.run("router", "renew", *names, "--expires", "4h")
    assert cli.run("router", "list", of(names), "-o", "jwt").count("ey") >= 2
    cli.run("router", "delete", *names)
    assert api.get("/edge-routers", filter=of(names)).ok() == []


def test_more_lines_than_one_request_may_hold(cli, api):
    """A long file goes in pieces, and so do its tokens; a name that comes again stops all of it."""
    first = unique("long")
    names = [f"{first}-{number}" for number in range(10_050)]
    (cli.folder / "twice.csv").write_text("\n".join(["name", *names, "", names[7]]))
    told = cli.run_code("import", "twice.csv", code=1)
    assert "line 10053: " in told
    assert told.endswith("10051 lines, 1 refused; nothing was written\n")
    (cli.folder / "long.csv").write_text("\n".join(["name", *names]))
    assert cli.run("import", "long.csv", "--tokens", "long.zip").endswith(
        "10050 made; tokens in long.zip, long-2.zip\n"
    )
    found = [zipfile.ZipFile(cli.folder / file).namelist() for file in ("long.zip", "long-2.zip")]
    assert {name for some in found for name in some if name.endswith(".jwt")} == {f"{name}.jwt" for name in names}
    again = cli.run_code("import", "long.csv", code=1)
    assert "… and 9950 more" in again
    assert again.count("duplicate value") == 100
    cli.run("identity", "delete", "--filter", f'name contains "{first}" limit 9000', "--yes")
    cli.run("identity", "delete", "--filter", f'name contains "{first}"', "--yes")
    (cli.folder / "empty.csv").write_text("name\n\n")
    assert "no line below" in cli.run("import", "empty.csv", code=2)


def test_a_bar_is_shown_at_a_terminal_only(cli):
    (cli.folder / "boxes.csv").write_text("name\n" + "".join(f"{unique('row')}\n" for _ in range(300)))
    seen = cli.at_terminal("import", "boxes.csv")
    assert re.search(r"importing \[#{25}\.{5}\] 250/300\r.*importing \[#{30}\] 300/300", seen)
    (cli.folder / "more.csv").write_text(f"name\n{unique('row')}\n")
    assert "[" not in cli.done("import", "more.csv").stderr
