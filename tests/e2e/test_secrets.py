"""Where a credential is once somebody has signed in: in the main process once, in a worker nowhere."""

import base64
import itertools
import random
from pathlib import Path

import pytest
from support.client import Client
from support.harm import ME, Harm

PIECE = 72  # more than a register holds: those are saved on stacks
REGION_MOST = 1 << 30  # larger ones are a sanitizer's shadow
OFFERS = {"login": b"IMAP4rev1", "plain": b"IMAP4rev1 SASL-IR AUTH=PLAIN", "xoauth2": b"IMAP4rev1 SASL-IR AUTH=XOAUTH2",
          "oauthbearer": b"IMAP4rev1 AUTH=OAUTHBEARER"}


def regions(pid):
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, rights, *rest = line.split()
        first, last = (int(end, 16) for end in span.split("-"))
        if rights.startswith("rw") and last - first < REGION_MOST and "[v" not in rest[-1]:
            yield first, last - first


def count(pid, needles):
    """How often each stands in the writable memory of a process."""
    found = dict.fromkeys(needles, 0)
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for first, length in regions(pid):
            try:
                memory.seek(first)
                held = b"".join(iter(lambda end=first + length: memory.read(min(1 << 24, end - memory.tell())), b""))
            except OSError:
                continue
            for needle in needles:
                found[needle] += held.count(needle)
    return found


def pieces(secret):
    """Of the secret, and of its base64 wherever in a message it stands."""
    yield from (secret[at:at + PIECE] for at in (0, (len(secret) - PIECE) // 2, len(secret) - PIECE))
    for shift in range(3):
        encoded = base64.b64encode(b"?" * shift + secret)
        yield from (encoded[at:at + PIECE] for at in (4, len(encoded) - PIECE - 4))


@pytest.mark.parametrize("length", [96, 230, 700])
@pytest.mark.parametrize("way", OFFERS)
def test_a_credential_stays_nowhere_but_in_its_session(way, length, start_server):
    dice = random.Random(f"{way} {length}")
    secret = "".join(itertools.islice(iter(lambda: dice.choice("abcdefghjkmnpqrstuvwxyz23456789"), ""), length))
    server = start_server(workers=1)
    with Harm(offers=OFFERS[way], turns=[("AUTHENTICATE OAUTHBEARER", take_in_two)]) as harm:
        target = harm.target(password=secret)
        if "auth" in way:
            target["accessToken"] = target.pop("password")
        answer = Client(server).post("/v1/sessions", json=target, expect=201)
        server.tokens.append(answer.json["token"])
        Client(server, token=answer.json["token"]).get(f"{ME}/folders", expect=200)
        [worker] = server.workers()
        needles = list(pieces(secret.encode()))
        assert set(count(worker, needles).values()) == {0}
        held = count(server.pid, needles)
        assert held == {needle: int(needle in secret.encode()) for needle in needles}


def take_in_two(talk, tag):
    talk.send(b"+ \r\n")
    talk.read_line()
