"""An IMAP server that forgives nothing: every byte a client sends must be one of the commands it is expected to send,
and text of strangers may stand in strings and literals only. It knows one login, whatever the name, and its folders are
what a test says."""

import base64
import re
import threading

from support.recorder import Recorder

ATOM = rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+"
SET = rb"(?:\d+(?::(?:\d+|\*))?)(?:,\d+(?::(?:\d+|\*))?)*"
ITEM = rb"(?:[A-Z0-9.]+(?:\[(?:[0-9.]*(?:HEADER(?:\.FIELDS \((?:REFERENCES)\))?|MIME|TEXT)?)\])?(?:<\d+\.\d+>)?)"
ITEMS = rb"\((?:" + ITEM + rb")(?: " + ITEM + rb")*\)"
# What a command looks like once each string is an S.
SHAPES = [re.compile(shape) for shape in (
    rb"CAPABILITY|NOOP|NAMESPACE|LOGOUT|CLOSE|UNSELECT",
    rb"LOGIN S S",
    rb"AUTHENTICATE (?:PLAIN|OAUTHBEARER|XOAUTH2)(?: (?:[A-Za-z0-9+/]+={0,2}|=))?",
    rb"ID (?:NIL|\(S S(?: S S)*\))",
    rb"ENABLE [A-Z0-9= -]+",
    rb"(?:LIST|XLIST|LSUB) S S(?: RETURN \([A-Z -]+(?:STATUS \([A-Z ]+\))?[A-Z -]*\))?",
    rb"STATUS S \([A-Z ]+\)",
    rb"(?:SELECT|EXAMINE) S(?: \([A-Z0-9 ():,]+\))?",
    rb"GETQUOTAROOT S",
    rb"(?:UID )?FETCH " + SET + rb" " + ITEMS + rb"(?: \(CHANGEDSINCE \d+(?: VANISHED)?\))?",
    rb"UID SEARCH (?:RETURN \([A-Z ]+\) )?UID " + SET,
    rb"UID STORE " + SET + rb" [+-]?FLAGS(?:\.SILENT)? \((?:\\?" + ATOM + rb")?(?: \\?" + ATOM + rb")*\)")]


class Forbidden(Exception):
    """What the client sent, and why it may not."""


class Command:
    def __init__(self, tag, shape, strings):
        self.tag, self.shape, self.strings = tag, shape, strings


class StrictServer:
    """`violations` stays empty as long as the client behaves. `commands` are those that came, `said` what it signed in
    with by AUTHENTICATE. offers: capabilities; folders: raw names, as LIST tells them (in literals)."""

    def __init__(self, offers, folders=(b"INBOX",)):
        self.offers, self.folders = offers, list(folders)
        self.commands, self.said, self.violations = [], [], []
        self.lock = threading.Lock()
        self.recorder = Recorder(self._serve)
        self.port = self.recorder.port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.recorder.close()

    def strings(self, command):
        """All strings that came with that command."""
        with self.lock:
            return {text for one in self.commands if one.shape.startswith(command) for text in one.strings}

    def _serve(self, talk):
        talk.send(b"* OK ready\r\n")
        last = 0
        try:
            while True:
                command = read_command(talk)
                number = int(command.tag[1:])
                if number != (0 if command.shape == b"LOGOUT" else last + 1):
                    raise Forbidden(f"tag {number} after {last}")
                last = number
                with self.lock:
                    self.commands.append(command)
                self._answer(talk, command)
                if command.shape == b"LOGOUT":
                    return
        except (OSError, EOFError):
            raise  # the client left
        except Exception as reason:  # ours too: a test must not go on without its server
            with self.lock:
                self.violations.append(f"{type(reason).__name__}: {reason}")

    def _answer(self, talk, command):
        name, _, rest = command.shape.partition(b" ")
        if name == b"UID":
            name, _, rest = rest.partition(b" ")
        if name == b"CAPABILITY":
            talk.send(b"* CAPABILITY " + self.offers + b"\r\n")
        elif name == b"AUTHENTICATE":
            self._authenticate(talk, rest)
        elif name in (b"LIST", b"XLIST", b"LSUB"):
            for folder in self.folders:
                talk.send(b'* %s () "/" {%d}\r\n%s\r\n' % (name, len(folder), folder))
        elif name == b"STATUS":
            folder = command.strings[0]
            talk.send(b"* STATUS {%d}\r\n%s (MESSAGES 3 UNSEEN 3 UIDNEXT 4 UIDVALIDITY 7)\r\n" % (len(folder), folder))
        elif name in (b"SELECT", b"EXAMINE"):
            talk.send(b"* FLAGS (\\Seen)\r\n* 3 EXISTS\r\n* OK [UIDVALIDITY 7] a\r\n* OK [UIDNEXT 4] b\r\n"
                      b"* OK [PERMANENTFLAGS (\\Seen \\Flagged \\Answered \\Draft \\*)] c\r\n")
        elif name == b"GETQUOTAROOT":
            talk.send(b'* QUOTAROOT INBOX ""\r\n* QUOTA "" (STORAGE 1 100)\r\n')
        elif name == b"FETCH":
            self._fetch(talk, rest)
        elif name == b"SEARCH":
            talk.send(b"* SEARCH 1 2 3\r\n")
        talk.answer(command.tag)

    def _authenticate(self, talk, rest):
        mechanism, _, first = rest.partition(b" ")
        if not first:
            talk.send(b"+ \r\n")
            first = read_crlf_line(talk)
        if not re.fullmatch(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", first):
            raise Forbidden(f"a SASL answer that is not base64: {first!r}")
        with self.lock:
            self.said.append((mechanism, base64.b64decode(first)))

    @staticmethod
    def _fetch(talk, rest):
        wanted, items = rest.partition(b" ")[::2]
        for uid in (1, 2, 3):
            if not any(_covers(one, uid) for one in wanted.split(b",")):
                continue
            answer = [b"UID %d" % uid, b"FLAGS ()"]
            if b"ENVELOPE" in items:
                answer += [b'INTERNALDATE "01-Jun-2026 12:00:00 +0000" RFC822.SIZE 40 ENVELOPE ("Mon, 1 Jun 2026 12:00:00 '
                           b'+0000" "hello" NIL NIL NIL NIL NIL NIL NIL "<%d@example.com>") '
                           b'BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1)' % uid]
            for kind, section, start in re.findall(rb"(BODY|BINARY)(?:\.PEEK)?(\[[^\]]*\])(?:<(\d+)\.\d+>)?", items):
                data = b"Subject: hello\r\n\r\n" if b"HEADER" in section else b"hello"
                first = int(start or 0)
                answer.append(kind + section + (b"<%d> " % first if start else b" ") +
                              b"{%d}\r\n%s" % (len(data[first:]), data[first:]))
            if b"BINARY.SIZE" in items:
                answer.append(b"BINARY.SIZE[1] 5")
            talk.send(b"* %d FETCH (" % uid + b" ".join(answer) + b")\r\n")


def _covers(one, uid):
    first, _, last = one.partition(b":")
    low, high = (sorted((int(first), int(last))) if last not in (b"", b"*") else
                 (int(first), 2 ** 32 if last else int(first)))
    return low <= uid <= high


def read_crlf_line(talk):
    line = talk.read_raw_line()
    if not line.endswith(b"\r\n") or re.search(rb"[\r\n\0]", line[:-2]):
        raise Forbidden(f"not one line: {line!r}")
    return line[:-2]


def read_command(talk):
    """One command, literals asked for as they come; Forbidden for any byte that has no place in it."""
    shape, strings, whole = b"", [], b""
    while True:
        line = read_crlf_line(talk)
        whole += line + b"\r\n"
        piece, found, literal = read_strings(line)
        shape += piece
        strings += found
        if literal is None:
            break
        length, at_once = literal
        if not at_once:
            talk.send(b"+ go on\r\n")
        data = talk.read_bytes(length)
        if b"\0" in data:
            raise Forbidden(f"NUL in a literal: {data!r}")
        whole += data
        strings.append(data)
        shape += b"S"
    found = re.fullmatch(rb"(a[0-9]+) (.+)", shape)
    if not found or not any(one.fullmatch(found[2]) for one in SHAPES):
        raise Forbidden(f"no command that is known: {whole!r}")
    return Command(found[1], found[2], strings)


def read_strings(line):
    """(the line with S for each string, the strings, (length, at once) of a literal at its end or None)"""
    shape, strings, at = b"", [], 0
    while at < len(line):
        if line[at:at + 1] == b'"':
            found = re.compile(rb'"((?:[^"\\\x80-\xff]|\\["\\])*)"').match(line, at)
            if not found:
                raise Forbidden(f"a string that does not end, or holds what it must not: {line!r}")
            strings.append(re.sub(rb"\\(.)", rb"\1", found[1]))
            shape, at = shape + b"S", found.end()
            continue
        found = re.compile(rb"\{(\d+)(\+?)\}$").match(line, at)
        if found:
            return shape, strings, (int(found[1]), bool(found[2]))
        shape, at = shape + line[at:at + 1], at + 1
    return shape, strings, None
