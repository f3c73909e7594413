"""Mail servers of the test's own: each says what a script tells it to, and keeps every byte it was sent."""

import socket
import ssl
import threading
import time

GREETING = b"* OK ready\r\n"


class Recorder:
    """A listener on 127.0.0.1. `serve(connection, record)` runs in a thread for each connection; `record`
    is a bytearray that keeps what was received through `connection.read_line()` and `.drain()`.

    certificate  a certs.Certificate: TLS from the first byte (the plain bytes are then what is recorded,
                 nothing when the handshake fails)
    """

    def __init__(self, serve=None, certificate=None):
        self._serve = serve or (lambda talk: (talk.send(GREETING), talk.drain()))
        self._context = _context(certificate) if certificate else None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.received = bytearray()
        self.connections = 0
        self.failures = []
        self._open = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._listener.close()
        with self._lock:
            for one in self._open:
                _shut(one)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        connection.settimeout(30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # scripts say things in several pieces
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                self._serve(Talk(self, connection))
        except (OSError, EOFError) as failure:
            self.failures.append(failure)
        finally:
            _shut(connection)


class Talk:
    def __init__(self, recorder, connection):
        self._recorder, self._connection, self._buffer = recorder, connection, b""

    def send(self, data):
        self._connection.sendall(data)

    def read_line(self):
        while b"\n" not in self._buffer:
            self._fill()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def read_raw_line(self):
        """The line with whatever ends it."""
        while b"\n" not in self._buffer:
            self._fill()
        line, end, self._buffer = self._buffer.partition(b"\n")
        return line + end

    def read_bytes(self, count):
        while len(self._buffer) < count:
            self._fill()
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def read_command(self):
        """(tag, command words)"""
        tag, _, rest = self.read_line().partition(b" ")
        return tag, rest

    def answer(self, tag, text=b"OK done"):
        self.send(tag + b" " + text + b"\r\n")

    def drain(self, seconds=None):
        """Take everything until the client leaves, or for so long."""
        if seconds:
            self._connection.settimeout(seconds)
        try:
            while True:
                self._fill()
        except (OSError, EOFError):
            pass

    def start_tls(self, certificate):
        self._connection = _context(certificate).wrap_socket(self._connection, server_side=True)

    def _fill(self):
        data = self._connection.recv(65536)
        if not data:
            raise EOFError
        self._recorder.received += data
        self._buffer += data


def dead_port():
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for(done, seconds=10, step=0.02):
    """Poll until done() is true; its last value."""
    deadline = time.monotonic() + seconds
    while not (value := done()) and time.monotonic() < deadline:
        time.sleep(step)
    return value


def _context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    return context


def _shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()
