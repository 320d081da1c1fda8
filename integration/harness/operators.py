"""What an operator sees of a gateway."""

import time
import urllib.error
import urllib.request


def admin(gateway, path):
    """Status and text, from the admin listener."""
    try:
        answer = urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}{path}", timeout=10)
        return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metric(gateway, name):
    """A metric's value, named with its labels as they are exposed."""
    for line in admin(gateway, "/metrics")[1].splitlines():
        if line.rpartition(" ")[0] == name:
            return float(line.rpartition(" ")[2])
    return None


def wait(check, seconds=60):
    """Until `check` answers something; its answer."""
    deadline = time.time() + seconds
    while not (found := check()):
        assert time.time() < deadline, "did not happen in time"
        time.sleep(0.05)
    return found
