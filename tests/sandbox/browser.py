"""A real browser that visits the sandbox's page and notes what it should not see there."""

import contextlib
import os
from collections.abc import Iterator
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.programs import need

CHROMIUM = "/usr/bin/chromium"
"""Debian's. Playwright would download a browser of its own."""
PATIENCE = 60_000
"""Milliseconds: far beyond what anything takes on a loaded machine."""
_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
"""


class Tab:
    """A tab of its own window; `complaints` is what the browser said about the page."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.context = context
        self.origin = origin
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("request", lambda request: self._check_origin(request.url))

    def _check_origin(self, url: str) -> None:
        if not url.startswith(f"{self.origin}/"):
            self.complaints.append(f"request to {url}")

    def open(self, view: str) -> None:
        """Go to a view of the page by its path, and wait until it is shown."""
        self.page.evaluate("(hash) => { location.hash = hash; }", view)
        expect(self.page.locator("main > div")).to_have_attribute("data-key", f"#{view}")

    def accessibility_violations(self) -> list[str]:
        """Return what axe-core finds in the view that is shown."""
        self.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
        found: dict[str, Any] = self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{violation['id']}: {node['html']}: {node['failureSummary']}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    def focused(self) -> str:
        """Return the text of the element that has the focus."""
        text = self.page.evaluate("document.activeElement.textContent")
        assert isinstance(text, str)
        return text


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a headless Chromium; the test is skipped if there is none."""
    need(CHROMIUM)
    expect.set_options(timeout=PATIENCE)
    # Chromium's own sandbox cannot be used by root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=arguments, timeout=PATIENCE
        )
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def visiting(browser: Browser, link: str, **settings: Any) -> Iterator[Tab]:
    """Open `link` in a window of its own, and check at the end that there were no complaints.

    settings: those of playwright's new_context, such as `viewport` and `color_scheme`.
    """
    context = browser.new_context(locale="en-GB", timezone_id="UTC", **settings)
    context.set_default_timeout(PATIENCE)
    context.add_init_script(_VIOLATIONS)
    try:
        parts = urlsplit(link)
        tab = Tab(context, f"{parts.scheme}://{parts.netloc}")
        tab.page.goto(link)
        expect(tab.page.locator("main h1")).to_be_visible()
        yield tab
        assert tab.complaints == []
    finally:
        context.close()
