"""Measure how fast `crontify flush` delivers a long queue, its memory and its connections.

    .venv/bin/python benchmarks/flush_queue.py [--reports 5000] [--monitors 500] [--away 40]

The server is a separate process that answers after `--away` milliseconds. The reports are failures;
of those of a monitor the newest three are sent, and one for the others. Prints a Markdown table.
"""

import argparse
import json
import multiprocessing
import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from crontify_cli.delivery.journal import Journal  # noqa: E402
from tests.delivery.outcomes import finish  # noqa: E402

BODY = json.dumps({"success": True, "data": {"received": True, "runId": "clrun"}}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


def serve(listener: socket.socket, counts: Any, away: float) -> None:
    """Answer every request after `away` seconds; count connections and requests."""

    def talk(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = b""
        while data := sock.recv(262144):
            buffer += data
            while (end := buffer.find(b"\r\n\r\n") + 4) >= 4:
                head = buffer[:end].lower()
                at = head.find(b"content-length:")
                length = int(head[at + 15 : head.find(b"\r\n", at)]) if at >= 0 else 0
                if len(buffer) < end + length:
                    break
                buffer = buffer[end + length :]
                counts[1] += 1
                time.sleep(away)
                sock.sendall(ANSWER)

    while True:
        sock, _ = listener.accept()
        counts[0] += 1
        threading.Thread(target=talk, args=(sock,), daemon=True).start()


def fill(state: Path, url: str, reports: int, monitors: int) -> None:
    """Queue failures, each with a log of 1 kB."""
    journal = Journal.open(str(state))
    for at in range(reports):
        finish(
            state,
            f"m{at % monitors}",
            "fail",
            words="why",
            log="line\n" * 200,
            url=url,
            journal=journal,
        )
    journal.close()


def flush(state: Path, url: str) -> tuple[float, float, float, int]:
    """Run the command; return its seconds, CPU seconds, peak memory in MiB, and exit code."""
    environ = {
        **os.environ,
        "CRONTIFY_API_KEY": "ck_test_0123456789abcdef",
        "CRONTIFY_BASE_URL": url,
        "CRONTIFY_STATE_DIR": str(state),
    }
    began = time.monotonic()
    pid = os.posix_spawnp(
        sys.executable, [sys.executable, "-m", "crontify_cli", "flush", "--wait", "10m"], environ
    )
    _, status, usage = os.wait4(pid, 0)
    cpu = usage.ru_utime + usage.ru_stime
    return time.monotonic() - began, cpu, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def main() -> int:
    """Measure one report, a hundredth of the reports, and all, to show how the time grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=5_000)
    parser.add_argument("--monitors", type=int, default=500)
    parser.add_argument("--away", type=float, default=40.0, metavar="MS")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"
    counts = multiprocessing.Array("q", 2)
    server = multiprocessing.Process(
        target=serve, args=(listener, counts, options.away / 1000), daemon=True
    )
    server.start()
    print(
        "| reports | requests | seconds | reports/s | requests/s | CPU s | peak MB | connections"
        " | exit |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    for reports in (1, options.reports // 100, options.reports):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["HOME"] = folder
            state = Path(folder, "state")
            fill(state, url, reports, options.monitors)
            counts[0] = counts[1] = 0
            seconds, cpu, peak, code = flush(state, url)
        requests = counts[1]
        of_each = [
            reports // options.monitors + (at < reports % options.monitors)
            for at in range(options.monitors)
        ]
        assert requests == sum(min(each, 4) for each in of_each), f"{requests} arrived"
        print(
            f"| {reports} | {requests} | {seconds:.1f} | {reports / seconds:.0f}",
            f"| {requests / seconds:.0f} | {cpu:.2f} | {peak:.0f} | {counts[0]} | {code} |",
            flush=True,
        )
    server.terminate()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
