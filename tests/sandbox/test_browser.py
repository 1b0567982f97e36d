"""The page in a real browser: signing in, watching a run, finding out why one failed."""

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from crontify_cli.sandbox.database import open_database, transaction
from crontify_cli.sandbox.identity import now
from tests.sandbox.browser import chromium, visiting
from tests.sandbox.receivers import Request, accept, receiving
from tests.sandbox.server import Server, serving
from tests.waiting import PATIENCE, until

# One browser for all: it takes more memory than everything else in the tests.
pytestmark = pytest.mark.xdist_group("browser")

EVIL = (
    "<script>document.title = 'pwned'</script><img src=x onerror=alert(1)>\n"
    "\x1b[2J\x1b]0;title\x07\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\ \x07bell\n"
    "\x1b[1;31mred and bold\x1b[0m \x1b[38;5;46mgreen\x1b[39m \x1b[48;2;0;0;250mon blue\x1b[m"
    " plain\n"
    "\x1b[31munfinished \u202egnorw\r\n"
)
LONG = "".join(f"line {number}\n" for number in range(1, 201))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A sandbox with a monitor `backup` that has a rule, runs of all kinds, and an alert."""
    with serving(tmp_path_factory.mktemp("page") / "sandbox.db") as running:
        running.command("monitor", "add", "backup")
        running.rule("backup", "rows", "lt", "10")
        for rows in (20, 3, 40):
            running.send("backup", "start")
            running.send("backup", "success", {"meta": {"rows": rows, "exit_code": 0}})
        running.send("backup", "start")
        running.send("backup", "start")
        running.send("backup", "fail", {"errorMessage": "disk full", "logOutput": LONG})
        yield running


def failed_run(server: Server) -> str:
    """Return the path of the view of the newest failed run of `backup`."""
    (run, *_) = [run for run in server.runs("backup") if run["status"] == "failed"]
    return f"/monitors/backup/runs/{run['id']}"


def test_the_link_signs_in_and_leaves_the_token_only_in_the_tab(
    browser: Browser, server: Server
) -> None:
    with visiting(browser, server.page) as tab:
        expect(tab.page.locator("h1")).to_have_text("Monitors")
        assert tab.page.url == f"{tab.origin}/#/"
        assert tab.page.evaluate("sessionStorage.getItem('token')") == server.token
        assert tab.page.evaluate("localStorage.length + document.cookie.length") == 0
        tab.page.reload()
        expect(tab.page.locator("h1")).to_have_text("Monitors")
        other = tab.context.new_page()  # knows nothing of the first one
        other.goto(f"{tab.origin}/")
        expect(other.locator("h1")).to_have_text("Sign in")
        other.get_by_label("Token").fill(f" {server.token} ")
        other.get_by_role("button", name="Sign in").click()
        expect(other.locator("h1")).to_have_text("Monitors")
        expect(tab.page.locator("#connection")).to_have_text("Live")
        server.send(server.monitor(), "success")
        pings = tab.page.locator("section[aria-labelledby=pings] li")
        expect(pings).to_have_count(1)
        tab.page.get_by_role("button", name="Sign out").click()
        expect(tab.page.locator("h1")).to_have_text("Sign in")
        assert tab.page.evaluate("sessionStorage.length") == 0
        tab.page.get_by_label("Token").fill(server.token)
        tab.page.keyboard.press("Enter")
        expect(tab.page.locator("h1")).to_have_text("Monitors")
        expect(pings).to_have_count(0)  # they might be those of another account


def test_a_token_that_is_not_valid_is_answered_with_a_way_to_get_another(
    browser: Browser, server: Server
) -> None:
    with visiting(browser, server.page.partition("#")[0] + "#token=wrong") as tab:
        expect(tab.page.get_by_role("alert")).to_contain_text("crontify sandbox token")
        assert all("401" in complaint for complaint in tab.complaints)
        tab.complaints.clear()
        tab.page.goto(f"{server.page}&view=/monitors/backup")
        expect(tab.page.locator("h1")).to_have_text("backup")


def test_a_run_is_seen_while_it_happens(browser: Browser, server: Server) -> None:
    monitor = server.monitor()
    with visiting(browser, server.page) as tab:
        expect(tab.page.locator("#connection")).to_have_text("Live")
        item = tab.page.locator(f".monitors li:has-text('{monitor}')")
        expect(item).to_contain_text("waiting")
        server.send(monitor, "start")
        expect(item.get_by_role("img")).to_have_attribute("aria-label", "1 run: 1 running")
        run = server.send(monitor, "fail", {"errorMessage": "no\x1b[31m route"})
        expect(item).to_contain_text("failing")
        ping = tab.page.locator(f"section a[href$='{run}']").first
        expect(ping.locator("..")).to_contain_text("failed no␛[31m route")
        announcement = tab.page.locator("[aria-live=polite]")
        expect(announcement).to_have_text(f"{monitor}: failure: no␛[31m route")
        ping.click()
        expect(tab.page.locator("h1")).to_have_text(f"Run of {monitor}")


def test_a_log_keeps_its_colours_and_cannot_do_anything(browser: Browser, server: Server) -> None:
    monitor = server.monitor()
    run = server.send(monitor, "fail", {"errorMessage": "<b>&amp;", "logOutput": EVIL})
    with visiting(browser, f"{server.page}&view=/monitors/{monitor}/runs/{run}") as tab:
        log = tab.page.locator("pre")
        first, second, third, fourth = (log.text_content() or "").splitlines()
        assert first == EVIL.splitlines()[0]
        assert second == "link ␇bell"
        assert third == "red and bold green on blue plain"
        assert fourth == "unfinished \ufffdgnorw"
        classes = {
            span.text_content(): span.get_attribute("class") for span in log.locator("span").all()
        }
        assert classes.pop("unfinished \ufffdgnorw") == "f1"
        assert {text: set((names or "").split()) for text, names in classes.items()} == {
            "red and bold": {"bold", "f1"},
            "green": {"f10"},
            "on blue": {"b4"},
        }
        assert tab.page.locator("script, main img, main b").count() == 1  # our own script
        assert "Run of" in tab.page.title()


def test_a_long_log_is_folded_and_unfolded_by_keyboard(browser: Browser, server: Server) -> None:
    with visiting(browser, f"{server.page}&view={failed_run(server)}") as tab:
        middle = tab.page.get_by_text(re.compile("line 100\n"))
        expect(tab.page.get_by_text(re.compile("line 200$"))).to_be_visible()
        expect(middle).not_to_be_visible()
        tab.page.locator("summary").focus()
        tab.page.keyboard.press("Enter")
        expect(middle).to_be_visible()


def test_a_refresh_keeps_the_focus_and_what_is_unfolded(browser: Browser, server: Server) -> None:
    monitor = server.monitor()
    run = server.send(monitor, "fail", {"logOutput": LONG})
    with visiting(browser, f"{server.page}&view=/monitors/{monitor}/runs/{run}") as tab:
        expect(tab.page.locator("#connection")).to_have_text("Live")
        tab.page.locator("summary").focus()
        tab.page.keyboard.press("Enter")
        server.rule(monitor, "rows", "gt", "5")
        tab.page.evaluate("document.querySelector('main').dataset.before = 'kept'")
        server.send(monitor, "success", {"meta": {"rows": 9}})
        expect(tab.page.locator("main")).not_to_have_attribute("data-before", "kept")
        assert tab.focused() == "160 more lines"
        expect(tab.page.get_by_text(re.compile("line 100\n"))).to_be_visible()


def test_numbers_are_drawn_with_the_thresholds_of_their_rules(
    browser: Browser, server: Server
) -> None:
    with visiting(browser, f"{server.page}&view=/monitors/backup") as tab:
        rows = tab.page.locator("figure", has_text="rows")
        expect(rows).to_contain_text("alert if rows < 10")
        name = "rows of 3 runs: 3 to 40, latest 40"
        expect(rows.get_by_role("img", name=name)).to_be_visible()
        assert rows.locator(".threshold").count() == 1
        fired = rows.locator(".silent_failure").get_attribute("d") or ""
        assert fired.count("M") == 1  # a dot for the run with 3 rows
        expect(tab.page.locator("figure strong")).to_have_text(["Duration", "rows", "exit_code"])
        expect(tab.page.locator("figure", has_text="exit_code")).not_to_be_visible()
        tab.page.get_by_text("Numbers that crontify exec adds").click()
        expect(tab.page.locator("figure", has_text="exit_code")).to_be_visible()
        alert = tab.page.locator("section[aria-labelledby=alerts] li", has_text="silent failure")
        alert.get_by_role("link").click()
        rule = tab.page.locator("tr", has_text="rows").locator(".limit")
        expect(rule).to_have_text("alert if rows < 10")


def test_everything_can_be_reached_by_keyboard(browser: Browser, server: Server) -> None:
    with visiting(browser, server.page) as tab:

        def follow(name: str) -> None:
            for _ in range(40):
                if tab.focused() == name:
                    break
                tab.page.keyboard.press("Tab")
            assert tab.focused() == name
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            assert tab.page.evaluate(outline) == "solid"
            tab.page.keyboard.press("Enter")

        expect(tab.page.locator("h1")).to_be_focused()
        tab.page.keyboard.press("Shift+Tab")
        follow("Skip to the content")
        expect(tab.page.locator("h1")).to_be_focused()
        follow("backup")
        expect(tab.page.locator("h1:focus")).to_have_text("backup")
        follow("failed")
        expect(tab.page.locator("tbody tr")).to_have_count(1)
        expect(tab.page.locator("h1")).to_be_focused()
        follow(tab.page.locator("tbody time").text_content() or "")
        expect(tab.page.locator("h1:focus")).to_have_text("Run of backup")
        follow("160 more lines")
        expect(tab.page.get_by_text(re.compile("line 100\n"))).to_be_visible()
        tab.page.go_back()
        expect(tab.page.locator("h1:focus")).to_have_text("backup")
        assert tab.page.title() == "backup – Crontify sandbox"


def test_what_fails_to_happen_is_shown_as_soon_as_it_is_detected(
    browser: Browser, tmp_path: Path
) -> None:
    with serving(tmp_path / "sandbox.db", "--detect-every", "0.2s") as server:
        server.command("monitor", "add", "stuck", "--grace", "1s")
        server.command(*("monitor", "add", "silent", "--schedule", "0 * * * *", "--grace", "1s"))
        server.send("silent", "success")
        with visiting(browser, server.page) as tab:
            expect(tab.page.locator("#connection")).to_have_text("Live")
            monitors = tab.page.locator(".monitors li")
            server.send("stuck", "start")
            strip = monitors.filter(has_text="stuck").get_by_role("img")
            expect(strip).to_have_attribute("aria-label", "1 run: 1 hung")
            with open_database(server.db, create=False) as connection, transaction(connection):
                long_ago = now() - 86_400_000
                connection.execute("UPDATE detection SET watching_since = ?", (long_ago,))
                connection.execute(
                    "UPDATE monitors SET last_ping_at = ?, watched_from = 0 WHERE id = 'silent'",
                    (long_ago,),
                )
            silent = monitors.filter(has_text="silent")
            expect(silent).to_contain_text("failing")
            announcement = tab.page.locator("[aria-live=polite]")
            expect(announcement).to_contain_text("silent: missed: no ping since")
            silent.get_by_role("link").click()
            expect(tab.page.locator("tbody tr").first).to_contain_text("missed")
            alert = tab.page.locator("section[aria-labelledby=alerts] a")
            expect(alert).to_contain_text("(0 * * * *)")
            alert.click()
            expect(tab.page.locator("h1")).to_have_text("Run of silent")
            tab.page.get_by_role("link", name="Alerts").click()
            expect(tab.page.locator("main .badge")).to_have_text(["missed", "hung"])


def test_a_delivery_that_failed_is_shown_with_its_attempts(
    browser: Browser, server: Server
) -> None:
    monitor = server.monitor()
    with socket.socket() as unheard:  # bound, but nobody listens
        unheard.bind(("127.0.0.1", 0))
        hook = f"http://127.0.0.1:{unheard.getsockname()[1]}/hook"
        server.command("channel", "add", monitor, hook)
        server.send(monitor, "fail", {"errorMessage": "disk full"})

        def attempts() -> int:
            (channel,) = server.get(f"/monitors/{monitor}/channels").json()["data"]
            return len(channel["deliveries"][0]["attempts"])

        until(attempts, "an attempt is recorded")
        with visiting(browser, f"{server.page}&view=/monitors/{monitor}") as tab:
            channels = tab.page.locator("section[aria-labelledby=channels]")
            expect(channels.locator("h3")).to_contain_text(f"{monitor}: webhook")
            expect(channels.locator("ol > li").first).to_contain_text("pending")
            expect(channels.locator("li li").first).to_contain_text("Connection refused")
            assert tab.accessibility_violations() == []


def test_the_result_of_a_delivery_is_shown_as_soon_as_it_is_known(
    browser: Browser, server: Server
) -> None:
    monitor, release = server.monitor(), threading.Event()

    def hold(request: Request) -> None:
        release.wait(PATIENCE)
        accept(request)

    with receiving(hold) as receiver, visiting(browser, server.page) as tab:
        server.command("channel", "add", monitor, receiver.url)
        tab.context.add_init_script("window.setInterval = () => 0")  # no refresh by the clock
        tab.page.reload()
        tab.open(f"/monitors/{monitor}")
        expect(tab.page.locator("#connection")).to_have_text("Live")
        server.send(monitor, "fail")
        delivery = tab.page.locator("section[aria-labelledby=channels] ol > li").first
        expect(delivery).to_contain_text("pending")
        release.set()
        expect(delivery).to_contain_text("delivered")
        tab.open("/")
        expect(tab.page.locator("section[aria-labelledby=pings] li")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1440])
def test_each_view_is_accessible_and_fits(
    browser: Browser, server: Server, width: int, scheme: str, tmp_path: Path
) -> None:
    window = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with visiting(browser, server.page, **window) as tab:
        expect(tab.page.locator("#connection")).to_have_text("Live")
        for view in ("/", "/monitors/backup", failed_run(server), "/alerts", "/nowhere"):
            tab.open(view)
            assert tab.accessibility_violations() == []
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
            tab.page.screenshot(path=tmp_path / f"{view.strip('/').replace('/', '-')}.png")
        background = "getComputedStyle(document.body).backgroundColor"
        dark = tab.page.evaluate(background) == "rgb(13, 17, 23)"
        assert dark == (scheme == "dark")
        tab.page.get_by_role("button", name="Sign out").click()
        expect(tab.page.locator("h1")).to_have_text("Sign in")
        assert tab.accessibility_violations() == []


def test_what_the_policy_forbids_is_noticed_here(browser: Browser, server: Server) -> None:
    with visiting(browser, server.page) as tab:
        tab.page.evaluate("document.body.setAttribute('style', 'color: red')")
        tab.page.evaluate("fetch('http://127.0.0.2:1/').catch(() => {})")
        tab.page.evaluate("document.body.append(document.createElement('img'))")
        assert tab.accessibility_violations() != []
        noticed = "\n".join(tab.complaints)
        assert "CSP: style-src" in noticed
        assert "CSP: connect-src" in noticed
        tab.complaints.clear()


def test_the_page_recovers_when_the_network_and_the_server_come_back(
    browser: Browser, tmp_path: Path, port: int
) -> None:
    db = tmp_path / "sandbox.db"
    with serving(db, "--port", str(port)) as server:
        server.command("monitor", "add", "backup")
        with visiting(browser, server.page) as tab:
            connection, item = tab.page.locator("#connection"), tab.page.locator(".monitors li")
            expect(connection).to_have_text("Live")
            tab.context.set_offline(True)
            expect(connection).to_have_text("Offline, trying again")
            server.send("backup", "success")
            expect(item).to_contain_text("waiting")
            tab.context.set_offline(False)
            expect(connection).to_have_text("Live")
            expect(item).to_contain_text("active")

            server.process.terminate()
            server.process.wait(timeout=60)
            expect(connection).to_have_text("Offline, trying again")
            with serving(db, "--port", str(port)) as again:
                key = {"X-API-Key": server.api_key}
                assert again.ping("backup", "fail", headers=key).status_code == 200
                expect(connection).to_have_text("Live")
                expect(item).to_contain_text("failing")
            tab.complaints[:] = [
                complaint
                for complaint in tab.complaints
                if "ERR_INTERNET_DISCONNECTED" not in complaint
                and "ERR_CONNECTION_REFUSED" not in complaint
            ]


def test_ten_thousand_runs_are_shown_in_pages(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db") as server:
        server.command("monitor", "add", "backup")
        with open_database(server.db, create=False) as connection, transaction(connection):
            connection.executemany(
                "INSERT INTO runs (monitor, id, status, started_at, finished_at)"
                " VALUES (1, ?, 'success', ?, ?)",
                [(f"cl{n:023}", n * 60_000, n * 60_000 + 1000) for n in range(1, 10_001)],
            )
        with visiting(browser, f"{server.page}&view=/monitors/backup") as tab:
            rows = tab.page.locator("tbody tr")

            def newest() -> int:
                return int((rows.first.get_attribute("data-key") or "")[2:])

            expect(rows).to_have_count(100)
            assert newest() == 10_000
            tab.page.get_by_role("link", name="Older runs").click()
            expect(rows.first).to_have_attribute("data-key", f"cl{9_900:023}")
            tab.open(f"/monitors/backup?cursor=cl{51:023}")
            expect(rows).to_have_count(50)
            assert newest() == 50
            expect(tab.page.get_by_role("link", name="Older runs")).to_have_count(0)
            tab.page.get_by_role("link", name="Newest runs").click()
            expect(rows.first).to_have_attribute("data-key", f"cl{10_000:023}")
