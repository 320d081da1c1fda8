"""An upstream that keeps what reached it, byte for byte, and answers as it is told."""

import socket
import threading


class Recorder:
    """Answers every request with `reply(head, body)`, a bytes answer, or None to reset."""

    def __init__(self, reply=None):
        self.requests, self.reply = [], reply or self.empty
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    @staticmethod
    def answer(body=b"", status="200 OK", headers=()):
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
        return "\r\n".join([*lines, "", ""]).encode() + body

    @staticmethod
    def empty(_head, _body):
        return Recorder.answer(headers=['etag: "d41d8cd98f00b204e9800998ecf8427e"', "last-modified: Tue, 24 Nov 2026 00:00:00 GMT"])

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        data = b""
        with connection:
            try:
                while True:
                    while b"\r\n\r\n" not in data:
                        piece = connection.recv(65536)
                        if not piece:
                            return
                        data += piece
                    head, data = data.split(b"\r\n\r\n", 1)
                    length = 0
                    for line in head.split(b"\r\n")[1:]:
                        name, value = line.split(b":", 1)
                        if name.lower() == b"content-length":
                            length = int(value)
                    while len(data) < length:
                        piece = connection.recv(65536)
                        if not piece:
                            self.requests.append((head, data, False))
                            return
                        data += piece
                    body, data = data[:length], data[length:]
                    self.requests.append((head, body, True))
                    reply = self.reply(head, body)
                    if reply is None:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                        return
                    connection.sendall(reply)
                    if b"\r\nconnection: close" in reply.lower():
                        return
            except OSError:
                return

    def complete(self):
        """Requests that arrived whole."""
        return [(head, body) for head, body, whole in self.requests if whole]

    def clear(self):
        self.requests.clear()

    def close(self):
        self.listener.close()
