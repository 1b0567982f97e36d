"""Finds tokens and private keys, which are known by how they begin."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import zip_longest

from crontify_cli.report.spans import Span

# The beginnings of well-known tokens, and what follows them.
_TOKENS = {
    b"ck_live_": rb"[A-Za-z0-9_-]{4,}+",  # Crontify
    b"ck_test_": rb"[A-Za-z0-9_-]{4,}+",
    b"AKIA": rb"[A-Z0-9]{16}(?![A-Za-z0-9])",  # AWS
    b"ASIA": rb"[A-Z0-9]{16}(?![A-Za-z0-9])",
    b"ghp_": rb"[A-Za-z0-9]{30,}+",  # GitHub
    b"gho_": rb"[A-Za-z0-9]{30,}+",
    b"ghu_": rb"[A-Za-z0-9]{30,}+",
    b"ghs_": rb"[A-Za-z0-9]{30,}+",
    b"ghr_": rb"[A-Za-z0-9]{30,}+",
    b"github_pat_": rb"[A-Za-z0-9_]{22,}+",
    b"glpat-": rb"[A-Za-z0-9_.-]{20,}+",  # GitLab
    b"gldt-": rb"[A-Za-z0-9_-]{20,}+",
    b"glrt-": rb"[A-Za-z0-9_.-]{20,}+",
    b"glptt-": rb"[A-Za-z0-9_-]{20,}+",
    b"glcbt-": rb"[A-Za-z0-9_-]{20,}+",
    b"gloas-": rb"[A-Za-z0-9_-]{20,}+",
    b"xoxb-": rb"[A-Za-z0-9-]{10,}+",  # Slack
    b"xoxp-": rb"[A-Za-z0-9-]{10,}+",
    b"xoxa-": rb"[A-Za-z0-9-]{10,}+",
    b"xoxr-": rb"[A-Za-z0-9-]{10,}+",
    b"xoxs-": rb"[A-Za-z0-9-]{10,}+",
    b"xoxc-": rb"[A-Za-z0-9-]{10,}+",
    b"xoxd-": rb"[A-Za-z0-9%-]{10,}+",
    b"xoxe-": rb"[A-Za-z0-9-]{10,}+",
    b"xapp-": rb"[A-Za-z0-9-]{10,}+",
    b"hooks.slack.com/services/": rb"[A-Za-z0-9/]{8,}+",
    b"hooks.slack.com/workflows/": rb"[A-Za-z0-9/]{8,}+",
    b"hooks.slack.com/triggers/": rb"[A-Za-z0-9/]{8,}+",
    b"sk_live_": rb"[A-Za-z0-9]{10,}+",  # Stripe
    b"sk_test_": rb"[A-Za-z0-9]{10,}+",
    b"rk_live_": rb"[A-Za-z0-9]{10,}+",
    b"rk_test_": rb"[A-Za-z0-9]{10,}+",
    b"whsec_": rb"[A-Za-z0-9+/=]{16,}+",
    b"sk-": rb"[A-Za-z0-9_-]{32,}+",  # OpenAI, Anthropic
    b"AIza": rb"[A-Za-z0-9_-]{35}",  # Google
    b"ya29.": rb"[A-Za-z0-9_.-]{20,}+",
    b"GOCSPX-": rb"[A-Za-z0-9_-]{20,}+",
    b"npm_": rb"[A-Za-z0-9]{30,}+",
    b"rubygems_": rb"[a-f0-9]{40,}+",
    b"pypi-": rb"[A-Za-z0-9_-]{50,}+",
    b"dckr_pat_": rb"[A-Za-z0-9_-]{20,}+",  # Docker
    b"dop_v1_": rb"[a-f0-9]{40,}+",  # DigitalOcean
    b"doo_v1_": rb"[a-f0-9]{40,}+",
    b"dor_v1_": rb"[a-f0-9]{40,}+",
    b"hf_": rb"[A-Za-z0-9]{30,}+",  # Hugging Face
    b"hvs.": rb"[A-Za-z0-9_-]{20,}+",  # Vault
    b"hvb.": rb"[A-Za-z0-9_-]{20,}+",
    b"glsa_": rb"[A-Za-z0-9_]{30,}+",  # Grafana
    b"glc_": rb"[A-Za-z0-9+/=]{30,}+",
    b"shpat_": rb"[a-fA-F0-9]{32}",  # Shopify
    b"shpca_": rb"[a-fA-F0-9]{32}",
    b"shppa_": rb"[a-fA-F0-9]{32}",
    b"shpss_": rb"[a-fA-F0-9]{32}",
    b"SG.": rb"[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+",  # SendGrid
    b"AGE-SECRET-KEY-1": rb"[A-Z0-9]{40,}+",
    b"SWMTKN-1-": rb"[a-z0-9-]{40,}+",  # Docker Swarm
    b"dapi": rb"[a-f0-9]{32}(?![a-f0-9])",  # Databricks
    b"sntrys_": rb"[A-Za-z0-9+/=_-]{30,}+",  # Sentry
    b"sntryu_": rb"[a-f0-9]{40,}+",
    b"ATATT3": rb"[A-Za-z0-9_=-]{20,}+",  # Atlassian
    b"ATCTT3": rb"[A-Za-z0-9_=-]{20,}+",
    b"NRAK-": rb"[A-Z0-9]{20,}+",  # New Relic
    b"PMAK-": rb"[a-f0-9-]{40,}+",  # Postman
    b"lin_api_": rb"[A-Za-z0-9]{30,}+",  # Linear
    b"sq0atp-": rb"[A-Za-z0-9_-]{20,}+",  # Square
    b"sq0csp-": rb"[A-Za-z0-9_-]{20,}+",
    b"pul-": rb"[a-f0-9]{40}",  # Pulumi
    b"tskey-": rb"[A-Za-z0-9-]{20,}+",  # Tailscale
    b"gsk_": rb"[A-Za-z0-9]{30,}+",  # Groq
    b"discord.com/api/webhooks/": rb"[0-9]++/[A-Za-z0-9_-]{8,}+",
    b"discordapp.com/api/webhooks/": rb"[0-9]++/[A-Za-z0-9_-]{8,}+",
    b"webhook.office.com/": rb"[A-Za-z0-9/@_-]{40,}+",  # Teams
    b"api.telegram.org/bot": rb"[0-9]++:[A-Za-z0-9_-]{30,}+",
    # A private key in base64, as in a kubeconfig
    b"LS0tLS1CRUdJTiBQUklWQVRF": rb"[A-Za-z0-9+/=]{8,}+",
    b"LS0tLS1CRUdJTiBSU0EgUFJJVkFURS": rb"[A-Za-z0-9+/=]{8,}+",
    b"LS0tLS1CRUdJTiBFQyBQUklWQVRF": rb"[A-Za-z0-9+/=]{8,}+",
    b"LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUg": rb"[A-Za-z0-9+/=]{8,}+",
}

_BEGINNING_OF_KEY = rb"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
_KEY = rb"""(?x)
    (?: [A-Za-z0-9+/=\\\s"',]++
      | (?<![A-Za-z])(?:Proc-Type|DEK-Info|Version|Comment):[^\n\\]*+ )++"""
_END_OF_KEY = rb"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
_KEY_LINE = rb"\s*+[A-Za-z0-9+/=]*+\s*+"
_LONGEST_KEY = 32 * 1024
_LONGEST_HEADER = 4096  # and the longest line of a key
_TOKEN_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


def token_spans(data: bytes) -> Iterator[Span]:
    """Yield where tokens and private keys are in a text."""
    yield from _tokens(data)
    yield from _web_tokens(data)
    if b"PRIVATE KEY" in data:
        yield from _private_keys(data)
        yield from _ends_of_keys(data)


def _tokens(data: bytes) -> Iterator[Span]:
    for start, rest in _TOKENS.items():
        if start in data:
            # Also after an escaped line break or tab; our own keys have a start of their own.
            pattern = re.escape(start) + rest
            if not start.startswith(b"ck_"):
                pattern = rb"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))" + pattern
            yield from (match.span() for match in re.finditer(pattern, data))


def _web_tokens(data: bytes) -> Iterator[Span]:
    """Yield JSON Web Tokens, from the middle, which is where one begins for certain."""
    if b".eyJ" not in data:
        return
    for match in re.finditer(rb"\.eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]*+", data):
        before = data[max(0, match.start() - _LONGEST_HEADER) : match.start()]
        header = before[len(before.rstrip(_TOKEN_CHARACTERS)) :]
        at = header.find(b"eyJ")
        if 0 <= at <= len(header) - 11:
            yield match.start() - len(header) + at, match.end()


def _private_keys(data: bytes) -> Iterator[Span]:
    """Yield what is between the frames of private keys, whatever stands before each line."""
    begins = list(re.finditer(_BEGINNING_OF_KEY, data))
    ends = [match.start() for match in re.finditer(_END_OF_KEY, data)]
    for begin, after in zip_longest(begins, begins[1:]):
        start = begin.end()
        at = bisect_left(ends, start)
        is_framed = at < len(ends) and ends[at] < (after.start() if after else len(data))
        if is_framed and start < ends[at] <= start + _LONGEST_KEY:
            yield start, ends[at]
        elif match := re.compile(_KEY).match(data, start):
            yield match.span()


def _ends_of_keys(data: bytes) -> Iterator[Span]:
    """Yield the last lines of private keys, even where the beginning is missing."""
    for match in re.finditer(_END_OF_KEY, data):
        start = end = match.start()
        while start > 0:
            before = data.rfind(b"\n", max(0, start - _LONGEST_HEADER), start - 1) + 1
            if not before and start > _LONGEST_HEADER:
                break
            if not re.fullmatch(_KEY_LINE, data[before:start]):
                break
            start = before
        if data[start:end].strip():
            yield start, end
