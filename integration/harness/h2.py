"""HTTP/2 as no client would send it: pseudo-headers and headers in any order, of any name."""

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes, Settings

from . import raw


def unread(window=0):
    """A client that takes no more of an answer's body than that, said from the first: a setting that is changed later
    is another's until it is acknowledged."""
    client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    client.local_settings = Settings(client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
    client.initiate_connection()
    return client


def request(gateway, headers, body=b"", ends=True):
    """One request with exactly these headers; None when its stream or connection is reset. One that does not end is
    waited for all the same."""
    config = H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False)
    with raw.Connection(gateway, alpn="h2") as connection:
        assert connection.sock.selected_alpn_protocol() == "h2"
        h2 = H2Connection(config)
        h2.initiate_connection()
        h2.send_headers(1, headers, end_stream=not body)
        if body:
            h2.send_data(1, body, end_stream=ends)
        connection.send(h2.data_to_send())
        answer = raw.Answer(0, {}, b"")
        while connection.more():
            events = h2.receive_data(connection.take(len(connection.data)))
            for event in events:
                if isinstance(event, ResponseReceived):
                    answer.headers = dict(event.headers)
                    answer.status = int(answer.headers[":status"])
                elif isinstance(event, DataReceived):
                    answer.body += event.data
                elif isinstance(event, StreamEnded):
                    return answer
                elif isinstance(event, (StreamReset, ConnectionTerminated)):
                    return None
            connection.send(h2.data_to_send())
        return None


def signed(gateway, method, path, headers=(), body=b"", authority=None, extra=(), ends=True, **how):
    """A signed request: `authority` stands for the host that was signed."""
    authority = authority or f"127.0.0.1:{gateway.port}"
    pairs = [(k, v) for k, v in raw.signed_headers(gateway, method, path, headers=headers, body=body, host=authority, **how) if k != "host"]
    pseudo = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path)]
    return request(gateway, [*pseudo, *pairs, *extra], body, ends)
