"""The server's end of `kubectl port-forward`: the streams of a connection, framed as SPDY/3.1 does.

Each connection to the port is two streams, for errors and for data; the client closes the first at
once. What is carried is not compressed; names and values of streams are not looked at. See
https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/ and the remotecommand and
portforward packages of k8s.io/client-go. A server may also be asked over a WebSocket: this one
refuses that, and kubectl falls back.
"""

import socket
import struct
import zlib
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from threading import Lock, Thread
from typing import BinaryIO

SYN_STREAM, SYN_REPLY, RST_STREAM, PING = 1, 2, 3, 6
CONTROL, FIN = 0x8000_0000, 0x01
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "SPDY/3.1",
    "X-Stream-Protocol-Version": "portforward.k8s.io",
}


class _Streams:
    """The streams between a client and a port of this machine."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO, port: int) -> None:
        self.reader, self.writer, self.port = reader, writer, port
        self.backends: dict[int, socket.socket] = {}
        self.compressor, self.lock = zlib.compressobj(), Lock()

    def carry(self) -> None:
        """Do so until the client has gone."""
        with ExitStack() as self.stack:
            while len(head := self.reader.read(8)) == 8:
                first, second = struct.unpack("!II", head)
                content = self.reader.read(second & 0xFF_FFFF)
                if first & CONTROL:
                    self._obey(first & 0xFFFF, content)
                else:
                    self._pass_on(first, content, last=bool(second >> 24 & FIN))

    def _obey(self, kind: int, content: bytes) -> None:
        stream = content[:4]
        if kind == SYN_STREAM:
            nothing = self.compressor.compress(bytes(4))
            nothing += self.compressor.flush(zlib.Z_SYNC_FLUSH)
            self._send(CONTROL | 3 << 16 | SYN_REPLY, stream + nothing)
        elif kind == PING:
            self._send(CONTROL | 3 << 16 | PING, content)
        elif kind == RST_STREAM and (backend := self.backends.pop(int.from_bytes(stream), None)):
            backend.close()

    def _pass_on(self, stream: int, content: bytes, *, last: bool) -> None:
        if content and stream not in self.backends:
            backend = socket.create_connection(("127.0.0.1", self.port))
            self.backends[stream] = self.stack.enter_context(backend)
            Thread(target=self._answer, args=(stream, backend), daemon=True).start()
        if content:
            self.backends[stream].sendall(content)
        elif stream not in self.backends:
            self._send(stream, b"", FIN)
        elif last:
            self.backends[stream].shutdown(socket.SHUT_WR)

    def _answer(self, stream: int, backend: socket.socket) -> None:
        try:
            while content := backend.recv(65536):
                self._send(stream, content)
            self._send(stream, b"", FIN)
        except OSError:
            pass  # the client has gone

    def _send(self, first: int, content: bytes, flags: int = 0) -> None:
        with self.lock:
            self.writer.write(struct.pack("!II", first, flags << 24 | len(content)) + content)
            self.writer.flush()


def lead(request: BaseHTTPRequestHandler, port: int) -> None:
    """Answer a request to forward a port, until the client ends."""
    request.send_response(101)
    for name, value in UPGRADE.items():
        request.send_header(name, value)
    request.end_headers()
    request.close_connection = True
    _Streams(request.rfile, request.wfile, port).carry()  # type: ignore[arg-type]
