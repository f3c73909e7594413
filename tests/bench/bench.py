#!/usr/bin/python3
"""`make bench`: postern's speed and memory beside the mail server's own, from one run.

Each figure of postern stands beside a raw IMAP client's (load.c) that does the same on the same private
Dovecot, in rounds that alternate, because only ratios mean something on a machine that others use too.
Ratios are medians over the rounds of the round's own ratio. What is printed is what was measured; the exit
code is 0 whether the aims are met or not.
"""

import argparse
import base64
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from rig import Load, Postern, RssWatch, alternate, build_load, median, ratio

import bulk
from dovecot import Dovecot
from imapwire import ImapWire
from wall import Wall

USER, PASSWORD = "bench@example.com", "bench password"
FIELDS = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (REFERENCES)])"
CAPABLE = "Transport of both sides: TLS unless a line says plain."


class Scale:
    """How much of everything."""

    def __init__(self, quick):
        self.folders = (500, 2000, 10_000) if quick else (500, 10_000, 100_000)
        self.rounds = 5 if quick else 9
        self.round_ms = 200 if quick else 500
        self.attachment_mb = 20 if quick else 50
        self.attachment_rounds = 3 if quick else 5
        self.first_page_rounds = 2 if quick else 5
        self.sessions = 30 if quick else 100
        self.idle_connections = 60 if quick else 500
        self.every_scenario = 6 if quick else 1
        self.resting = ("tls",) if quick else ("tls", "plain")


class Bench:
    def __init__(self, arguments, directory):
        self.program, self.directory = Path(arguments.server).resolve(), directory
        self.scale = Scale(arguments.quick)
        self.load = build_load(directory)
        self.members = [f"member{number:03}@example.com" for number in range(self.scale.sessions + 10)]
        users = {USER: PASSWORD, **{member: PASSWORD for member in self.members}}
        self.dovecot = Dovecot(directory / "mail-server", users, extra_config=(
            "mail_max_userip_connections = 400\nservice imap {\n  process_limit = 900\n}\n"))
        self.user, self.started = USER, 0
        self.verdicts = []

    # ---- the pieces ----
    def postern(self, **settings):
        self.started += 1
        return Postern(self.program, self.directory / f"postern-{self.started}", ca_file=self.dovecot.ca_file,
                       **settings)

    def http(self, postern, token, path, clients=1):
        return Load(self.load, "http", postern.port, clients, path, token)

    def imap(self, transport, folder, command, *more, clients=1):
        port = self.dovecot.imaps_port if transport == "tls" else self.dovecot.imap_port
        return Load(self.load, "imap", port, clients, transport, USER, PASSWORD, folder, command, *more)

    def judge(self, what, aim, measured, met):
        self.verdicts.append((what, aim, measured, "met" if met else "NOT MET"))

    # ---- filling ----
    def fill(self):
        title("Mail")
        began = time.monotonic()
        for count in self.scale.folders:
            self.dovecot.fill(USER, name_of(count), count, seed=count)
        self.dovecot.deliver(USER, "Attachment", attachment(self.scale.attachment_mb))
        letters = list(bulk.messages(50, seed=7))
        for member in self.members:
            wire = ImapWire(self.dovecot.imap_port, member, PASSWORD)
            wire.append("INBOX", letters)
            wire.close()
        print(f"folders of {', '.join(f'{count:,}' for count in self.scale.folders)} messages, a "
              f"{self.scale.attachment_mb} MB attachment, {len(self.members)} small mailboxes: "
              f"{time.monotonic() - began:.1f} s")

    # ---- a folder nobody has seen ----
    def first_pages(self):
        title("First page of a folder never seen before (new data directory each time, signed in, folders known)")
        small, large = self.scale.folders[0], self.scale.folders[-1]
        times = {small: [], large: []}
        for _ in range(self.scale.first_page_rounds):
            for count in times:
                with self.postern() as postern:
                    token = postern.sign_in(self.dovecot, USER, "tls")
                    postern.ask("GET", "/v1/accounts/me/folders", token=token)
                    began = time.monotonic()
                    page = postern.list(token, name_of(count))
                    times[count].append((time.monotonic() - began) * 1000)
                    assert len(page["items"]) == 50, page
        middle = {count: sorted(each)[len(each) // 2] for count, each in times.items()}
        for count, each in middle.items():
            print(f"{count:>9,} messages  {each:8.1f} ms   (median of {len(times[count])})")
        print(f"{large:,} beside {small:,}: {middle[large] / middle[small]:.2f}")

    def backfill(self):
        large = self.scale.folders[-1]
        title(f"Filling the mirror of {large:,} messages")
        with self.postern() as postern:
            token = postern.sign_in(self.dovecot, USER, "tls")
            before = postern.rss_kib()
            began = time.monotonic()
            postern.list(token, name_of(large))
            postern.await_complete(token, name_of(large))
            took, peak, cpu_us = time.monotonic() - began, postern.peak_kib(), postern.cpu_us()
        with self.imap("tls", name_of(large), f"FETCH 1:* {FIELDS}") as raw:
            raw_s = raw.run(60_000, 1)["seconds"]
        print(f"total {took:.1f} s, {large / took:,.0f} messages/s; postern's CPU {cpu_us / 1e6:.1f} s; raw FETCH of the same "
              f"{raw_s:.1f} s: ratio {took / raw_s:.1f}")
        print(f"RSS before {kib(before)}, peak {kib(peak)}")

    # ---- lists ----
    def lists(self, postern, tokens):
        title(f"Newest 50, warm, one client ({self.scale.rounds} rounds of {self.scale.round_ms} ms a side; medians)")
        print("folder              postern p50     p99 | raw FETCH p50     p99 | ratio p50   p99 | CPU/request  switches")
        for count in self.scale.folders:
            met = self.list_beside_raw(postern, tokens["tls"], count, "tls")
            self.judge(f"list p50, {count:,} messages, TLS", "<= 1.00 of raw", f"{met:.2f}", met <= 1)
        met = self.list_beside_raw(postern, tokens["plain"], self.scale.folders[1], "plain")
        self.judge(f"list p50, {self.scale.folders[1]:,} messages, plain", "<= 1.00 of raw", f"{met:.2f}", met <= 1)

    def list_beside_raw(self, postern, token, count, transport):
        with self.http(postern, token, list_path(count)) as ours, \
                self.imap(transport, name_of(count), newest(count)) as raw:
            counted = Costs(postern, ours)
            found = alternate(self.scale.rounds, self.scale.round_ms, {"postern": counted, "raw": raw})
        p50, p99 = (ratio(found, "postern", "raw", name) for name in ("p50_us", "p99_us"))
        print(f"{count:>9,} {transport:<6} {pair(found['postern'])} | {pair(found['raw'])} |     {p50:5.2f} {p99:5.2f} |"
              f"   {counted.cpu_us():6.0f} us      {counted.switches():4.1f}")
        return p50

    def rates(self, postern, tokens):
        count = self.scale.folders[1]
        title(f"Newest 50 of {count:,}, requests a second (beside as many raw connections)")
        print("clients     postern   raw FETCH   ratio | postern p50     p99 |     raw p50     p99 | CPU/request  switches")
        for clients in (1, 8, 32):
            with self.http(postern, tokens["tls"], list_path(count), clients) as ours, \
                    self.imap("tls", name_of(count), newest(count), clients=clients) as raw:
                counted = Costs(postern, ours)
                found = alternate(self.scale.rounds, self.scale.round_ms, {"postern": counted, "raw": raw})
            print(f"{clients:>7} {median(found['postern'], 'per_s'):>9,.0f}/s {median(found['raw'], 'per_s'):>9,.0f}/s "
                  f"{ratio(found, 'postern', 'raw', 'per_s'):7.2f} | {pair(found['postern'])} | {pair(found['raw'])} |"
                  f"   {counted.cpu_us():6.0f} us      {counted.switches():4.1f}")

    # ---- a large attachment ----
    def attachments(self):
        size = self.scale.attachment_mb
        title(f"A {size} MB attachment, decoded bytes a second ({self.scale.attachment_rounds} rounds; medians)")
        print("transport     postern   raw+decode  raw, no decode   ratios to each | RSS before, during first, during "
              "all, after")
        for transport in ("tls", "plain"):
            with self.postern() as postern:
                self.attachment(postern, transport, size)

    def attachment(self, postern, transport, size):
        token = postern.sign_in(self.dovecot, USER, transport)
        item = postern.list(token, "Attachment")["items"][0]["id"]
        path = f"/v1/accounts/me/messages/{item}/parts/2"
        fetch = "FETCH 1 (BODY.PEEK[2])"
        time.sleep(0.2)
        before = postern.rss_kib()
        with self.http(postern, token, path) as ours, self.imap(transport, "Attachment", fetch) as raw, \
                self.imap(transport, "Attachment", fetch, "decode") as decoding:
            with RssWatch(postern) as first:
                length = ours.run(60_000, 1)["bytes"]
            with RssWatch(postern) as during:
                found = alternate(self.scale.attachment_rounds, 60_000,
                                  {"postern": ours, "raw": raw, "decoding": decoding}, count=1)
        assert size << 20 <= length < (size << 20) * 1.01, length  # chunks and headers are counted, too
        assert found["decoding"][0]["decoded"] == size << 20, found["decoding"]
        time.sleep(0.5)
        to_decoding = ratio(found, "postern", "decoding", "per_s")
        to_raw = ratio(found, "postern", "raw", "per_s")
        rates = {name: median(found[name], "per_s") * size for name in found}
        more = max(first.highest_kib, during.highest_kib) - before
        print(f"{transport:<9} {rates['postern']:7.0f} MB/s {rates['decoding']:7.0f} MB/s     {rates['raw']:7.0f} MB/s "
              f"     {to_decoding:5.2f}   {to_raw:5.2f} | {kib(before)}, +{first.highest_kib - before} KiB, +{more} KiB, "
              f"{postern.rss_kib() - before:+} KiB")
        self.judge(f"{size} MB attachment's rate, {transport}", ">= 0.80 of raw with decoding", f"{to_decoding:.2f}",
                   to_decoding >= 0.8)
        self.judge(f"{size} MB attachment's rate, {transport}", ">= 0.80 of raw, not decoding", f"{to_raw:.2f}",
                   to_raw >= 0.8)
        self.judge(f"its memory, {transport}", "< 2048 KiB more", f"{more} KiB", more < 2048)

    # ---- sessions at rest ----
    def sessions(self):
        count = self.scale.sessions
        title(f"Memory of a session with one idle connection ({count} mailboxes of 50 messages, after ten others; each "
              "listed once, mirrors' handles closed)")
        for transport in self.scale.resting:
            with self.postern(mirror_idle="1s", connection_idle="20m") as postern:
                self.rest(postern, self.members[:10], transport)
                before = postern.rss_kib()
                self.rest(postern, self.members[10:], transport)
                after = postern.rss_kib()
                each = (after - before) / count
                kept = self.connections_kept(postern)
            print(f"{transport:<9} {kib(before)} with 10, {kib(after)} with {count + 10}: {each:.0f} KiB a session; "
                  f"{kept}")
            self.judge(f"a session with one idle connection, {transport}", "< 150 KiB", f"{each:.0f} KiB", each < 150)

    def rest(self, postern, members, transport):
        for member in members:
            postern.list(postern.sign_in(self.dovecot, member, transport), "INBOX")
        time.sleep(7)  # mirror_idle, and the next tidy: every 5 s

    @staticmethod
    def connections_kept(postern):
        descriptors = Path(f"/proc/{postern.pid}/fd")
        links = []
        for name in descriptors.iterdir():
            try:
                links.append(os.readlink(name))
            except OSError:
                pass
        sockets = sum(link.startswith("socket:") for link in links)
        files = sum("/data/" in link for link in links)
        return f"{sockets} sockets, {files} files of mirrors open"

    # ---- all of it ----
    def run(self):
        self.fill()
        self.first_pages()
        self.backfill()
        with self.postern() as postern:
            tokens = {transport: postern.sign_in(self.dovecot, USER, transport) for transport in ("tls", "plain")}
            for count in self.scale.folders:
                postern.list(tokens["tls"], name_of(count))
                postern.await_complete(tokens["tls"], name_of(count))
            self.lists(postern, tokens)
            self.rates(postern, tokens)
        self.attachments()
        self.sessions()
        Wall(self).run()

    def print_verdicts(self):
        title("Aims")
        for what, aim, measured, verdict in self.verdicts:
            print(f"{what:<46} {aim:<30} {measured:>10}   {verdict}")


class Costs:
    """A Load whose runs are charged with postern's CPU time and context switches."""

    def __init__(self, postern, load):
        self._postern, self._load = postern, load
        self._cpu_us = self._switches = self._count = 0

    def run(self, ms, count=0):
        cpu_us, switches = self._postern.cpu_us(), self._postern.switches()
        done = self._load.run(ms, count)
        self._cpu_us += self._postern.cpu_us() - cpu_us
        self._switches += self._postern.switches() - switches
        self._count += done["count"]
        return done

    def cpu_us(self):
        return self._cpu_us / self._count

    def switches(self):
        return self._switches / self._count


def title(text):
    print(f"\n== {text}", flush=True)


def name_of(count):
    return f"Bulk{count}"


def list_path(count):
    return f"/v1/accounts/me/messages?folder=path:{name_of(count)}&limit=50"


def newest(count):
    return f"FETCH {count - 49}:{count} {FIELDS}"


def pair(rows):
    return f"{median(rows, 'p50_us') / 1000:8.2f} ms {median(rows, 'p99_us') / 1000:7.2f}"


def kib(value):
    return f"{value / 1024:.1f} MiB"


def attachment(megabytes):
    packed = base64.encodebytes(random.Random(1).randbytes(megabytes << 20)).replace(b"\n", b"\r\n")
    return (b"Date: Tue, 09 Jun 2026 10:13:20 +0000\r\nFrom: Ada Example <ada@example.com>\r\n"
            b"To: bench@example.com\r\nSubject: A large file\r\nMessage-ID: <large@example.com>\r\n"
            b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="mix"\r\n\r\n--mix\r\n'
            b"Content-Type: text/plain; charset=utf-8\r\n\r\nHere it is.\r\n--mix\r\n"
            b'Content-Type: application/octet-stream; name="large.bin"\r\nContent-Transfer-Encoding: base64\r\n'
            b'Content-Disposition: attachment; filename="large.bin"\r\n\r\n' + packed + b"--mix--\r\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", required=True, help="the postern program")
    parser.add_argument("--quick", action="store_true", help="smaller folders, fewer rounds: about a minute")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all is taken down then, too
    began = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="postern-bench-"))
    try:
        bench = Bench(arguments, directory)
        with bench.dovecot:
            print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}. {CAPABLE}")
            bench.run()
        bench.print_verdicts()
        print(f"\n{time.monotonic() - began:.0f} s")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
