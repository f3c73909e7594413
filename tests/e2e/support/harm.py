"""Mail servers that mean harm, scripted: what each does, and what a user of one asks for."""

import re
import time
from dataclasses import dataclass

from support.recorder import Recorder

ME = "/v1/accounts/me"
RECORDS = "(UID )?FETCH .*ENVELOPE"
SECTION = "UID FETCH .*(BODY|BINARY)"
DATE = b'INTERNALDATE "01-Jun-2026 12:00:00 +0000"'
ENVELOPE = b'("Mon, 1 Jun 2026 12:00:00 +0000" "hello" NIL NIL NIL NIL NIL NIL NIL "<1@example.com>")'
TEXT = b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1)'
FLOOD_BYTES = 24 << 20  # more than the main process may grow by


class Harm:
    """An IMAP server with one folder of three messages. `turns` is [(pattern of a command, turn)]: the first that
    matches answers in place of it, as turn(talk, tag), and gives True when the tagged answer went with it."""

    def __init__(self, turns=(), offers=b"IMAP4rev1", greet=b"* OK ready\r\n"):
        self.turns, self.offers = [(re.compile(pattern), turn) for pattern, turn in turns], offers
        self.greet = greet if callable(greet) else lambda talk: talk.send(greet)
        self.recorder = Recorder(self._serve)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.recorder.close()

    def target(self, **changes):
        return {"protocol": "imap", "host": "127.0.0.1", "port": self.recorder.port, "security": "none",
                "username": "harm@example.com", "password": "harm password", **changes}

    def _serve(self, talk):
        self.greet(talk)
        while True:
            tag, command = talk.read_command()
            for pattern, turn in self.turns:
                if pattern.match(command.decode("latin-1")):
                    if not turn(talk, tag):
                        talk.answer(tag)
                    break
            else:
                self._answer(talk, tag, command)

    def _answer(self, talk, tag, command):
        if command == b"CAPABILITY":
            talk.send(b"* CAPABILITY " + self.offers + b"\r\n")
        elif command.startswith(b"LIST"):
            talk.send(b'* LIST () "/" INBOX\r\n')
        elif command.startswith(b"SELECT"):
            talk.send(b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] a\r\n* OK [UIDNEXT 4] b\r\n")
        elif b"ENVELOPE" in command:
            talk.send(b"".join(message(uid) for uid in (1, 2, 3)))
        elif b"FETCH" in command and b"BODY" not in command:
            talk.send(b"".join(b"* %d FETCH (UID %d FLAGS ())\r\n" % (uid, uid) for uid in (1, 2, 3)))
        talk.answer(tag)


def message(uid, size=b"100", flags=b"", envelope=None, structure=TEXT, sequence=None):
    return (b'* %d FETCH (UID %d FLAGS (%s) %s RFC822.SIZE %s ENVELOPE %s BODYSTRUCTURE %s)\r\n'
            % (sequence or uid, uid, flags, DATE, size, envelope or ENVELOPE.replace(b"<1@", b"<%d@" % uid), structure))


def envelope_from(addresses):
    return b'("Mon, 1 Jun 2026 12:00:00 +0000" "hello" ' + addresses + b' NIL NIL NIL NIL NIL NIL "<1@example.com>")'


def say(data, times=1, status=b"OK done"):
    """A turn that says so, so often."""
    def turn(talk, tag):
        for _ in range(times):
            talk.send(data)
        talk.answer(tag, status)
        return True
    return turn


def end_with(data=b""):
    """A turn that says so and hangs up."""
    def turn(talk, _):
        talk.send(data)
        raise EOFError
    return turn


def hold_with(data=b""):
    """A turn that says so and nothing more."""
    def turn(talk, _):
        talk.send(data)
        talk.drain()
        return True
    return turn


def drip(data, pause_s=0.2):
    """A turn that says it byte by byte, and never comes to its end."""
    def turn(talk, *_):
        while True:
            for byte in data:
                talk.send(bytes([byte]))
                time.sleep(pause_s)
    return turn


def pour(data):
    """A turn without end, as fast as it is taken; the listener's patience is its own affair."""
    block = data * max(1, 65536 // len(data))

    def turn(talk, *_):
        for _ in range(FLOOD_BYTES * 4 // len(block)):
            talk.send(block)
        talk.drain(5)
        return True
    return turn


def other_uids():
    """Messages whose uids are new ones at every look."""
    seen = [0]

    def turn(talk, tag):
        seen[0] += 1000
        talk.send(b"".join(message(seen[0] + number, sequence=number) for number in (1, 2, 3)))
        talk.answer(tag)
        return True
    return turn


def late():
    """Answers come when the next command is there already, under the tag of the one before."""
    waiting = []

    def turn(talk, tag):
        if waiting:
            talk.answer(waiting.pop())
        else:
            waiting.append(tag)
            time.sleep(0.5)
            talk.send(b"* 2 EXISTS\r\n")
        return True
    return turn


NAMES = b"".join([
    b'* LIST () "/" {9}\r\na\r\nb\x00c\rd\n\r\n', b'* LIST () "/" "../../etc"\r\n', b'* LIST () "/" ""\r\n',
    b'* LIST () "/" "&broken"\r\n', b'* LIST () "/" "&AAA-"\r\n', b'* LIST () "/" "\xff\xfe\x80"\r\n',
    b'* LIST () "\x00" a\r\n', b'* LIST () "ab" a\r\n', b'* LIST (\\Noselect \\Sent \\Sent) NIL "a b"\r\n',
    b'* LIST () "/" "' + b"d/" * 20000 + b'"\r\n', b'* LIST () "/" INBOX\r\n', b'* LIST () "/" inbox\r\n',
    b"* LIST\r\n", b"* LIST ((((\r\n", b'* LIST () "/" "<script>alert(1)</script>"\r\n', b'* LIST () "/" %\r\n'])
ADDRESS = b'("a" NIL "a" "example.com")'


@dataclass
class Scenario:
    turns: tuple = ()
    offers: bytes = b"IMAP4rev1"
    greet: object = b"* OK ready\r\n"
    security: str = "none"

    def __call__(self):
        return Harm(self.turns, self.offers, self.greet)


SCENARIOS = {
    # the greeting
    "a greeting of NUL bytes": Scenario(greet=b"* OK \x00\x00\x00\r\n"),
    "a greeting with a bad charset": Scenario(greet=b'* OK [BADCHARSET ("x")] hello\r\n'),
    "a greeting without an end": Scenario(greet=pour(b"* OK aaaaaaaaaaaaaaa")),
    "a greeting byte by byte": Scenario(greet=drip(b"* OK ready ")),
    "a greeting of BYE": Scenario(greet=b"* BYE go away\r\n"),
    "another protocol's greeting": Scenario(greet=b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "signed in before anything was said": Scenario(greet=b"* PREAUTH welcome\r\n"),
    "signed in before STARTTLS": Scenario(greet=b"* PREAUTH welcome\r\n", security="starttls"),
    "plain text behind the consent to STARTTLS": Scenario(
        (("STARTTLS", lambda talk, tag: talk.send(tag + b" OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n") or True),),
        b"IMAP4rev1 STARTTLS", security="starttls"),
    "no STARTTLS after all": Scenario((("STARTTLS", say(b"", status=b"OK go")),), b"IMAP4rev1 STARTTLS",
                                      security="starttls"),
    # signing in
    "malformed capabilities": Scenario((("CAPABILITY", say(b"* CAPABILITY\r\n* CAPABILITY ((((\r\n* CAPABILITY \x00 =\r\n")),)),
    "capabilities without end": Scenario((("CAPABILITY", pour(b"* CAPABILITY IMAP4rev1 XYZ\r\n")),)),
    "a continuation without end": Scenario((("LOGIN|AUTHENTICATE", pour(b"+ go on\r\n")),)),
    "an answer to another tag": Scenario((("LOGIN|AUTHENTICATE", lambda talk, tag: talk.answer(b"zz99") or True),)),
    "BYE at sign-in": Scenario((("LOGIN|AUTHENTICATE", end_with(b"* BYE no\r\n")),)),
    # folders
    "names that are none": Scenario((("LIST", say(NAMES)),)),
    "folders without end": Scenario((("LIST", pour(b'* LIST () "/" abcdefghijklmnop\r\n')),)),
    "a literal of four gigabytes": Scenario((("LIST", say(b'* LIST () "/" {4294967295}\r\nabc\r\n')),)),
    "a literal that ends too soon": Scenario((("LIST", end_with(b'* LIST () "/" {100}\r\nabc')),)),
    "folders byte by byte": Scenario((("LIST", drip(b'* LIST () "/" INBOX\r\n')),)),
    "flags nested without end": Scenario((("LIST", say(b"* LIST " + b"(" * 60000 + b'\r\n* LIST () "/" INBOX\r\n', 300)),)),
    "a line without end": Scenario((("LIST", pour(b'* LIST () "/" "aaaaaaaaaaaa')),)),
    "status of absurd counts": Scenario((("STATUS", say(
        b"* STATUS INBOX (MESSAGES 99999999999999999999 UNSEEN 4294967296 UIDNEXT 0 UIDVALIDITY -1 SIZE 1e9)\r\n")),)),
    "unknown answers": Scenario((("LIST|SELECT", say(
        b'* ANNOTATION "" (x (y z))\r\n* ANNOTATEMORE INBOX "/comment" ("value.priv" NIL "value.shared" {3}\r\nabc)\r\n'
        b"* VANISHED (EARLIER) 1:*\r\n* ESEARCH (TAG \"x\") UID ALL 1:4294967295\r\n* GENURLAUTH x\r\n* 0 FETCH (\r\n"
        b"* 99 EXPUNGE\r\n* -1 EXISTS\r\n")),)),
    # selecting
    "permanent flags cut short": Scenario((("SELECT", say(b"* 3 EXISTS\r\n* OK [PERMANENTFLAGS (\r\n* OK [UIDVALIDITY 7] a\r\n")),)),
    "four billion messages": Scenario((("SELECT", say(b"* 4294967295 EXISTS\r\n* OK [UIDVALIDITY 7] a\r\n* OK [UIDNEXT 4294967295] b\r\n")),)),
    "validity that is no number": Scenario((("SELECT", say(b"* 3 EXISTS\r\n* OK [UIDVALIDITY 0] a\r\n* OK [UIDNEXT x] b\r\n")),)),
    "a validity for each look": Scenario((("SELECT", lambda talk, tag: talk.send(
        b"* 3 EXISTS\r\n* OK [UIDVALIDITY %d] a\r\n* OK [UIDNEXT 4] b\r\n" % (time.monotonic_ns() % 4000000000 + 1))),)),
    "BYE at select": Scenario((("SELECT", end_with(b"* 3 EXISTS\r\n* BYE no\r\n")),)),
    "the end at select": Scenario((("SELECT", end_with(b"* 3 EXIS")),)),
    # messages
    "parts within parts": Scenario(((RECORDS, say(message(1, structure=b"(" * 30000 + TEXT + b")" * 30000), 200)),)),
    "parts without number": Scenario(((RECORDS, say(message(1, structure=b"(" + TEXT * 100000 + b' "MIXED")'))),)),
    "addresses without number": Scenario(((RECORDS, say(message(1, envelope=envelope_from(b"(" + ADDRESS * 100000 + b")")))),)),
    "an envelope of NUL bytes": Scenario(((RECORDS, say(message(1, envelope=envelope_from(b'(("\x00\x01" NIL "\x00" "\x7f"))')))),)),
    "an envelope of four gigabytes": Scenario(((RECORDS, say(message(1, envelope=b'("x" {4294967295}\r\nabc'))),)),
    "subjects of eight megabytes": Scenario(((RECORDS, say(message(1, envelope=b'("x" {8000000}\r\n' + b"s" * 8000000 +
                                                                            b" NIL NIL NIL NIL NIL NIL NIL NIL)"), 3)),)),
    "an end within a record": Scenario(((RECORDS, end_with(message(1)[:90])),)),
    "uids that change": Scenario((("(UID )?FETCH", other_uids()),)),
    "uids that cannot be": Scenario(((RECORDS, say(message(3) + message(1) + message(1) + message(4294967295) +
                                                   message(2).replace(b"UID 2", b"UID 0") + message(2))),)),
    "a size over four gigabytes": Scenario(((RECORDS, say(message(1, size=b"18446744073709551615") + message(2, size=b"-5"))),)),
    "messages nobody asked for, without end": Scenario(((RECORDS, pour(message(2))),)),
    "flags nobody asked for, without end": Scenario((("NOOP|SELECT", pour(b"* 1 FETCH (FLAGS (\\Seen))\r\n")),)),
    "removals without end": Scenario((("NOOP|SELECT", pour(b"* 1 EXPUNGE\r\n")),)),
    "counts without end": Scenario((("NOOP|SELECT", pour(b"* 5 EXISTS\r\n* 5 RECENT\r\n")),)),
    "a search that finds every uid": Scenario(((RECORDS, say(b"", status=b"NO not now")),
                                               ("UID SEARCH", say(b"* SEARCH 1:4294967295\r\n* ESEARCH UID ALL 1:4294967295\r\n")))),
    "answers too late": Scenario((("(UID )?FETCH|NOOP", late()),)),
    "no answer": Scenario((("(UID )?FETCH|NOOP", hold_with()),)),
    "BAD to everything": Scenario((("(?!CAPABILITY|LOGIN|AUTHENTICATE|LIST)", say(b"", status=b"BAD what?")),)),
    # content
    "content without end": Scenario(((SECTION, lambda talk, tag: pour(b"a" * 1000)(
        talk, talk.send(b"* 1 FETCH (UID 1 BODY[1] {4000000000}\r\n"))),)),
    "content that ends too soon": Scenario(((SECTION, end_with(b"* 1 FETCH (UID 1 BODY[1] {100000}\r\nabc")),)),
    "content byte by byte": Scenario(((SECTION, lambda talk, tag: drip(b"a")(
        talk, talk.send(b"* 1 FETCH (UID 1 BODY[1] {100000}\r\n"))),)),
    "content of another message": Scenario(((SECTION, say(b"* 2 FETCH (UID 2 BODY[2.MIME] {3}\r\nabc BODY[] NIL)\r\n")),)),
    "headers that are one line": Scenario(((SECTION, say(b"* 1 FETCH (UID 1 BODY[HEADER] {2000000}\r\n" + b"h" * 2000000 + b")\r\n")),)),
}


def visit(ask, harm, security="none"):
    """What a user of that server asks for, in order; `ask(method, path, json, token)` gives (status, document or None).
    Stops at the second failure, so that a server that never answers is not waited for eight times. All statuses."""
    status, document = ask("POST", "/v1/sessions", harm.target(security=security), None)
    seen = [status]
    if status != 201:
        return seen
    token, message_id = document["token"], None

    def step(method, path, json=None):
        if sum(one >= 500 for one in seen) >= 2:
            return None
        answered, body = ask(method, path, json, token)
        seen.append(answered)
        return body if answered == 200 else None

    step("GET", f"{ME}/folders")
    for _ in range(2):
        page = step("GET", f"{ME}/messages?folder=inbox")
        if page and page["items"]:
            message_id = page["items"][0]["id"]
    if message_id:
        step("GET", f"{ME}/messages/{message_id}")
        step("GET", f"{ME}/messages/{message_id}/headers")
        step("GET", f"{ME}/messages/{message_id}/parts/1")
        step("GET", f"{ME}/messages/{message_id}/raw")
        step("PATCH", f"{ME}/messages/{message_id}", {"seen": True})
    ask("DELETE", "/v1/sessions/current", None, token)
    return seen
