"""An upstream that keeps what reached it, byte for byte, and answers as it is told: well, or badly."""

import select
import socket
import threading
import time

RESET, CLOSE = "reset", "close"


class Arrival:
    """A request on its way: there from its head on, whole once its last byte has come."""

    def __init__(self, head, connection):
        self.head, self.connection, self.body, self.whole = head, connection, b"", False

    def length(self):
        return next((int(line.split(":", 1)[1]) for line in self.lines if line.startswith("content-length:")), 0)

    @property
    def target(self):
        return self.head.split(b" ")[1].decode()

    @property
    def lines(self):
        return self.head.decode().lower().split("\r\n")[1:]

    def __repr__(self):
        return f"<{self.head.splitlines()[0].decode()} {len(self.body)} bytes{'' if self.whole else ', not whole'}>"


class Recorder:
    """Answers a request with what `reply(head, body)` gives: bytes; None, to reset; or a list of steps,
    each bytes to send, seconds to wait, RESET or CLOSE. `early(head)` may answer before the body."""

    def __init__(self, reply=None):
        self.arrived, self.reply, self.early, self.connections = [], reply or self.empty, None, 0
        self.idle = {}  # Each open socket, the listener among them: whether its thread waits for it.
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
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

    def _wait(self, connection, read):
        self.idle[connection] = True
        got = read()
        self.idle[connection] = False
        return got

    def _accept(self):
        while True:
            try:
                connection, _ = self._wait(self.listener, self.listener.accept)
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.idle[connection] = False
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection, number):
        try:
            with connection:
                self._talk(connection, number)
        except OSError:
            pass
        finally:
            self.idle.pop(connection)

    def _talk(self, connection, number):
        data, receive = b"", lambda: self._wait(connection, lambda: connection.recv(65536))
        while True:
            while b"\r\n\r\n" not in data:
                piece = receive()
                if not piece:
                    return
                data += piece
            head, data = data.split(b"\r\n\r\n", 1)
            if head.startswith(b"HEAD / "):  # The gateway asks so whether we are there.
                connection.sendall(self.answer())
                continue
            arrival = Arrival(head, number)
            self.arrived.append(arrival)
            steps = self.early(head) if self.early else None
            if steps is None:
                length = arrival.length()
                arrival.body, data = data[:length], data[length:]
                while len(arrival.body) < length:
                    piece = receive()
                    if not piece:
                        return
                    missing = length - len(arrival.body)
                    arrival.body, data = arrival.body + piece[:missing], piece[missing:]
                arrival.whole = True
                steps = self.reply(head, arrival.body)
            if not self._play(connection, steps):
                return

    @staticmethod
    def _play(connection, steps):
        """Whether the connection goes on."""
        for step in [RESET] if steps is None else [steps] if isinstance(steps, bytes) else steps:
            if step == RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return False
            if step == CLOSE:
                return False
            if isinstance(step, bytes):
                connection.sendall(step)
                if b"\r\nconnection: close" in step.lower():
                    return False
            else:
                time.sleep(step)
        return True

    def complete(self):
        """Head and body of the requests that arrived whole."""
        return [(a.head, a.body) for a in self.arrived if a.whole]

    def settle(self, seconds=10):
        """Waits until everything that was sent here has been read: whoever has seen a gateway's answer
        and settles knows all that the gateway did before it."""
        deadline, quiet = time.time() + seconds, 0
        while quiet < 2:
            assert time.time() < deadline, "the upstream does not come to rest"
            sockets = list(self.idle)
            try:
                pending = select.select(sockets, [], [], 0)[0]
            except (OSError, ValueError):
                pending = sockets  # One was closed just now.
            quiet = quiet + 1 if not pending and all(self.idle.get(s, True) for s in sockets) else 0

    def clear(self):
        self.arrived = []

    def close(self):
        self.listener.close()
