"""How long the console takes to draw a list once its answer is there, beside what the browser needs for a bare table.

    python -m bench.console [ROUNDS]

In Debian's Chromium, which must be installed. Few and a hundred thousand identities are listed in turns by two
controllers, so that a busy moment of the machine meets both; a bare table of as many
rows and cells shows what the browser itself takes. Exit code 1 when the median for many is above 300 ms.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor

from playwright.sync_api import Browser, Page, sync_playwright

from bench.client import PASSWORD
from bench.machine import Server, fresh_server
from bench.run import Bench

FEW, MANY = 100, 100_000
LIMIT_MS = 300.0

# From the answer to the first task after the frame in which all rows of the page were drawn.
_WATCH = """() => {
  const fetched = window.fetch;
  window.fetch = async (...args) => {
    const answer = await fetched(...args);
    if (String(args[0]).includes("/identities?")) window.answeredAt = performance.now();
    return answer;
  };
  new MutationObserver(() => {
    if (location.pathname.endsWith("/identities") && document.querySelectorAll("table.rows tbody tr").length >= 50) {
      const from = window.answeredAt;
      if (from) requestAnimationFrame(() => setTimeout(() => { window.took ??= performance.now() - from; }));
    }
  }).observe(document.body, { childList: true, subtree: true });
}"""
_GO = """(path) => {
  window.answeredAt = window.took = undefined;
  history.pushState({}, "", path);
  dispatchEvent(new PopStateEvent("popstate"));
}"""
# Below the page: fifty rows with as many cells as the page's have, and a word in each.
_BARE = """() => new Promise((done) => {
  const cells = document.querySelectorAll("table.rows thead th").length;
  const began = performance.now();
  const table = document.createElement("table");
  for (let row = 0; row < 50; row++) {
    const line = table.insertRow();
    for (let cell = 0; cell < cells; cell++) line.insertCell().textContent = `bench-${row}-${cell}`;
  }
  document.body.append(table);
  requestAnimationFrame(() => setTimeout(() => { table.remove(); done(performance.now() - began); }));
})"""


def open_console(browser: Browser, server: Server) -> Page:
    """A page of the console, signed in."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"https://127.0.0.1:{server.port}/console/overview")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.locator(".top").wait_for()
    page.evaluate(_WATCH)
    return page


def draw(page: Page) -> tuple[float, float]:
    """Go to the list and away again; gives the milliseconds of the list and those of a bare table."""
    page.evaluate(_GO, "/console/identities")
    while (took := page.evaluate("window.took")) is None:
        page.wait_for_timeout(20)
    bare = page.evaluate(_BARE)
    page.evaluate(_GO, "/console/about")
    page.get_by_role("heading", level=1, name="About").wait_for()
    return float(took), float(bare)


def measure(rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round."""
    with fresh_server() as few, fresh_server() as many:
        with ProcessPoolExecutor(1) as pool:  # forked, and at its end, before the browser's loop begins
            for server, count in ((few, FEW), (many, MANY)):
                Bench(server, pool, {}).populate(count)
        return in_turns(few, many, rounds)


def in_turns(few: Server, many: Server, rounds: int) -> dict[str, list[float]]:
    """The rounds themselves."""
    found: dict[str, list[float]] = {"few": [], "many": [], "bare": []}
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--ignore-certificate-errors"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        pages = [open_console(browser, server) for server in (few, many)]
        for number in range(rounds + 1):
            for name, page in zip(("few", "many"), pages, strict=True):
                took, bare = draw(page)
                if number:  # the first is the one that also loads what the page is made of
                    found[name].append(took)
                    found["bare"].append(bare)
        browser.close()
    return found


def main() -> int:
    """Measure and print."""
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
    middle = {name: statistics.median(times) for name, times in found.items()}
    for name, label in (("bare", "bare table"), ("few", f"list of {FEW:,}"), ("many", f"list of {MANY:,}")):
        print(f"{label:18} median {middle[name]:6.1f} ms, slowest {max(found[name]):6.1f} ms")
    growth, of_bare = middle["many"] / middle["few"], middle["many"] / middle["bare"]
    print(f"many / few {growth:.2f}; {of_bare:.1f} times as long as a bare table")
    return int(middle["many"] > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
