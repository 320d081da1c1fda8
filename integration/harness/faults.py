"""A gateway whose file system calls fail when a test says so.

The kernel asks us before each of them (seccomp's user notification), so a fault is chosen by call, by path and by count, in any
thread, from the first instruction on; nothing of the gateway is changed for it.
"""

import array
import contextlib
import dataclasses
import errno
import fcntl
import os
import pathlib
import platform
import select
import socket
import struct
import sys
import threading

from .plain import Plain

# What says where the file is: descriptors and paths among the arguments. `at` is a directory and a path beneath it.
FD, FDS, AT, ATS, PATH, PATHS = "fd", "two fds", "at", "two ats", "path", "two paths"

# Every call that reaches a file system: its number on x86_64 and on aarch64.
CALLS = {
    "read": (0, 63, FD), "write": (1, 64, FD), "open": (2, None, PATH), "stat": (4, None, PATH), "fstat": (5, 80, FD), "lstat": (6, None, PATH),
    "pread64": (17, 67, FD), "pwrite64": (18, 68, FD), "readv": (19, 65, FD), "writev": (20, 66, FD), "access": (21, None, PATH),
    "sendfile": (40, 71, FDS), "flock": (73, 32, FD), "fsync": (74, 82, FD), "fdatasync": (75, 83, FD), "truncate": (76, 45, PATH),
    "ftruncate": (77, 46, FD), "rename": (82, None, PATHS), "mkdir": (83, None, PATH), "rmdir": (84, None, PATH), "link": (86, None, PATHS),
    "unlink": (87, None, PATH), "readlink": (89, None, PATH), "chmod": (90, None, PATH), "statfs": (137, 43, PATH), "fstatfs": (138, 44, FD),
    "getdents64": (217, 61, FD), "openat": (257, 56, AT), "mkdirat": (258, 34, AT), "newfstatat": (262, 79, AT), "unlinkat": (263, 35, AT),
    "renameat": (264, 38, ATS), "linkat": (265, 37, ATS), "readlinkat": (267, 78, AT), "fchmodat": (268, 53, AT), "faccessat": (269, 48, AT),
    "sync_file_range": (277, 84, FD), "fallocate": (285, 47, FD), "preadv": (295, 69, FD), "pwritev": (296, 70, FD), "syncfs": (306, 267, FD),
    "renameat2": (316, 276, ATS), "copy_file_range": (326, 285, FDS), "preadv2": (327, 286, FD), "pwritev2": (328, 287, FD),
    "statx": (332, 291, AT), "openat2": (437, 437, AT), "faccessat2": (439, 439, AT),
}
MACHINE = {"x86_64": 0, "aarch64": 1}[platform.machine()]
SECCOMP = (317, 277)[MACHINE]
NAMES = {row[MACHINE]: (name, row[2]) for name, row in CALLS.items() if row[MACHINE] is not None}
RECEIVE, SEND, GO_ON = 0xC0502100, 0xC0182101, 1
REPORT, ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")


@dataclasses.dataclass
class Fault:
    """Calls of these names on files whose path has all of `where` in it fail: from the `first` such call to the `last` (None: all
    from then on). With `held` they don't fail, but wait for the end of the fault."""

    calls: tuple
    errno: int = errno.EIO
    first: int = 1
    last: int | None = None
    where: str = ""
    held: bool = False
    seen: int = 0
    hit: int = 0

    def takes(self, call, paths):
        if call not in self.calls or not any(self.where in path for path in paths):
            return False
        self.seen += 1
        taken = self.first <= self.seen <= (self.last or self.seen)
        self.hit += taken
        return taken

    def __str__(self):
        schedule = f"no. {self.first}" if self.last == self.first else f"from no. {self.first} on"
        return f"{errno.errorcode[self.errno]} from {','.join(self.calls)} {schedule} {self.where}".strip()


class Watched(Plain):
    """A gateway that answers for each of its file system calls below its data directory (or `below`)."""

    def __init__(self, directory, config="", descriptors=0, below=None, **more):
        super().__init__(directory, config, **more)
        self.descriptors, self.below = descriptors, str(below or self.data)
        self.faults, self.made, self.waiting = [], None, []

    def start(self, wait=True):
        ours, theirs = socket.socketpair()
        numbers = ",".join(str(number) for number in NAMES)
        launcher = str(pathlib.Path(__file__).with_name("watched.py"))
        self.launcher = [sys.executable, "-S", "-E", launcher, str(theirs.fileno()), str(SECCOMP), numbers, str(self.descriptors)]
        self.inherited = (theirs.fileno(),)
        threading.Thread(target=self._watch, args=(ours,), daemon=True).start()
        with theirs:
            return super().start(wait)

    @contextlib.contextmanager
    def failing(self, *faults):
        self.faults = list(faults)
        try:
            yield faults[0]
        finally:
            self.mended()

    def mended(self):
        """From now on everything goes as it should; what was held goes on."""
        self.faults = []

    @contextlib.contextmanager
    def counting(self):
        """How often each call is made below the directory, by name."""
        self.made = {}
        try:
            yield self.made
        finally:
            self.made = None

    def _watch(self, channel):
        with channel:
            _, [listener], _, _ = socket.recv_fds(channel, 1, 1)
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        try:
            while True:
                for _, event in poll.poll(20):
                    if event & select.POLLHUP:
                        return
                    self._decide(listener)
                if self.waiting and not any(fault.held for fault in self.faults):
                    for waiting in self.waiting:
                        self._answer(listener, waiting, 0)
                    self.waiting = []
        finally:
            os.close(listener)

    def _decide(self, listener):
        report = bytearray(REPORT.size)
        try:
            fcntl.ioctl(listener, RECEIVE, report)
        except OSError:  # Interrupted by a signal, or ended: it is not asked any more.
            return
        identity, thread, _, number, _, _, *arguments = REPORT.unpack(report)
        failure = self._failure(thread, number, arguments) if self.faults or self.made is not None else 0
        if failure is None:
            self.waiting.append(identity)
        else:
            self._answer(listener, identity, failure)

    def _failure(self, thread, number, arguments):
        """The number of the error; 0 to go on, None to wait."""
        call, kind = NAMES[number]
        paths = [path for path in whereabouts(thread, kind, arguments) if path.startswith(self.below)]
        if not paths:
            return 0
        if self.made is not None:
            self.made[call] = self.made.get(call, 0) + 1
        for fault in self.faults:
            if fault.takes(call, paths):
                return None if fault.held else fault.errno
        return 0

    @staticmethod
    def _answer(listener, identity, failure):
        with contextlib.suppress(OSError):  # It was killed meanwhile.
            fcntl.ioctl(listener, SEND, ANSWER.pack(identity, 0, -failure, 0 if failure else GO_ON))


def whereabouts(thread, kind, arguments):
    """The paths that a call concerns."""
    try:
        if kind in (FD, FDS):
            return [opened(thread, argument) for argument in arguments[: 1 if kind == FD else 3]]
        if kind in (PATH, PATHS):
            return [os.path.join(opened(thread, -100), text(thread, argument)) for argument in arguments[: 1 if kind == PATH else 2]]
        pairs = [arguments[:2]] if kind == AT else [arguments[:2], arguments[2:4]]
        return [os.path.join(opened(thread, directory), text(thread, path)) for directory, path in pairs]
    except OSError:
        return []


def opened(thread, descriptor):
    descriptor = array.array("i", struct.pack("=I", descriptor & 0xFFFFFFFF))[0]
    try:
        return os.readlink(f"/proc/{thread}/cwd" if descriptor == -100 else f"/proc/{thread}/fd/{descriptor}")
    except OSError:
        return ""


def text(thread, address):
    if not address:
        return ""
    with open(f"/proc/{thread}/mem", "rb", 0) as memory:
        memory.seek(address)
        # A path may stand at the end of what is mapped.
        piece = memory.read(min(4096, 4096 - address % 4096))
        return (piece if b"\0" in piece else piece + memory.read(4096)).partition(b"\0")[0].decode(errors="replace")
