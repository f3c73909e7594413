"""Answers as the bytes they are: nothing forgiven, nothing repaired, as an HTTP library would."""

import base64
import re
import socket

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
VALUE = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?|")


class RawAnswer:
    """`status`, `headers` {lower-case name: value} and `body` (the bytes behind the head, chunks not put together).
    Refuses every head that is not lines of `name: value` in visible ASCII, each name once."""

    def __init__(self, data):
        self.head, divider, self.body = data.partition(b"\r\n\r\n")
        assert divider, f"no end of the headers: {data[:2000]!r}"
        first, *lines = self.head.split(b"\r\n")
        found = re.fullmatch(rb"HTTP/1\.1 ([1-5]\d\d) [\x20-\x7e]*", first)
        assert found, f"no status line: {first!r}"
        self.status, self.headers = int(found[1]), {}
        for line in lines:
            name, colon, value = line.partition(b": ")
            assert colon and TOKEN.fullmatch(name) and VALUE.fullmatch(value), f"no header line: {line!r}"
            key = name.decode().lower()
            assert key not in self.headers, f"{key} stands there twice: {self.head!r}"
            self.headers[key] = value.decode()

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


def ask(server, method, target, authorization, headers=(), body=b""):
    """One request on a connection of its own, `target` and headers (pairs of bytes or text) sent as they are."""
    lines = [b"%s %s HTTP/1.1" % (_bytes(method), _bytes(target)), b"Host: " + server.address.encode(),
             b"Connection: close"]
    if authorization:
        lines.append(b"Authorization: " + _bytes(authorization))
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    lines += [_bytes(name) + b": " + _bytes(value) for name, value in headers]
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        received = bytearray()
        try:
            while block := connection.recv(65536):
                received += block
        except ConnectionResetError:
            pass
    return bytes(received)


def basic(user, password):
    """The credentials as bytes, whatever they hold."""
    return b"Basic " + base64.b64encode(_bytes(user) + b":" + _bytes(password))


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode()
