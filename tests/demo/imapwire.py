"""The few IMAP commands that loading mail needs, byte for byte.

imaplib rewrites every line end of a message it appends, and knows no MULTIAPPEND; hostile mail must
arrive exactly as it is, and 100,000 messages must arrive quickly.
"""

import base64
import re
import socket
from datetime import datetime, timezone

_UTF7 = re.compile("([^\x20-\x7e]+)")


class Refused(Exception):
    """The server answered NO or BAD; the text is the server's line."""


def encode_folder(name):
    """A folder name in modified UTF-7 (RFC 3501, 5.1.3), not quoted."""
    def shift(match):
        packed = base64.b64encode(match[1].encode("utf-16-be")).decode()
        return "&" + packed.rstrip("=").replace("/", ",") + "-"
    return _UTF7.sub(shift, name.replace("&", "&-"))


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def format_internaldate(when):
    """RFC 3501 date-time of a datetime, or of seconds since 1970."""
    if not isinstance(when, datetime):
        when = datetime.fromtimestamp(when, timezone.utc)
    month = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[when.month - 1]
    return f'"{when.day:02d}-{month}-{when:%Y %H:%M:%S} {when:%z}"'


class ImapWire:
    """One logged-in plain connection. LITERAL+ and MULTIAPPEND are taken for granted."""

    def __init__(self, port, user, password, timeout_s=120):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._answers = self._socket.makefile("rb")
        self._count = 0
        self._answers.readline()
        self.command(f"LOGIN {quote(user)} {quote(password)}")

    def command(self, line, *literals):
        """Send one command, `literals` after it; the tagged answer's text, or Refused."""
        self._count += 1
        tag = f"a{self._count}"
        self._socket.sendall(b"".join([f"{tag} {line}".encode(), *literals, b"\r\n"]))
        return self._read_answer(tag.encode() + b" ")

    def create(self, folder):
        try:
            self.command(f"CREATE {quote(encode_folder(folder))}")
        except Refused as refusal:
            if "ALREADYEXISTS" not in str(refusal):
                raise
        self.command(f"SUBSCRIBE {quote(encode_folder(folder))}")

    def append(self, folder, messages):
        """APPEND an iterable of (flags, internaldate or None, bytes) at once; the new UIDs."""
        pieces = []
        for flags, internaldate, message in messages:
            words = [f"({' '.join(flags)})"]
            if internaldate is not None:
                words.append(format_internaldate(internaldate))
            pieces.append(f" {' '.join(words)} {{{len(message)}+}}\r\n".encode())
            pieces.append(message)
        answer = self.command(f"APPEND {quote(encode_folder(folder))}", *pieces)
        found = re.search(r"\[APPENDUID \d+ ([\d:,]+)\]", answer)
        return _expand(found[1]) if found else []

    def close(self):
        try:
            self.command("LOGOUT")
        except (OSError, Refused, EOFError):
            pass
        self._answers.close()
        self._socket.close()

    def _read_answer(self, tag):
        while True:
            line = self._answers.readline()
            if not line:
                raise EOFError("the mail server closed the connection")
            if line.startswith(tag):
                text = line[len(tag):].decode("utf-8", "replace").strip()
                if not text.startswith("OK"):
                    raise Refused(text)
                return text


def _expand(uid_set):
    uids = []
    for span in uid_set.split(","):
        first, _, last = span.partition(":")
        uids.extend(range(int(first), int(last or first) + 1))
    return uids
