"""What a power cut leaves, by the strictest reading of POSIX: of a file what was synced, of a directory the entries that were there
when it was last synced. Made from a trace of the gateway's system calls, at any moment of it."""

import contextlib
import os
import random
import re
import signal
import stat
import subprocess
import time

# What changes files and directories, and what makes that durable; and what carries the answers.
TRACED = ("open openat openat2 creat close dup fcntl mkdir mkdirat rename renameat renameat2 unlink unlinkat rmdir link linkat symlink symlinkat truncate "
          "ftruncate fallocate copy_file_range sendfile write writev pwrite64 pwritev pwritev2 fsync fdatasync sync syncfs msync sendto sendmsg").split()
LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>)?(.*)$")
ANSWER = re.compile(rb"^HTTP/1\.1 .*?x-amz-request-id: (\S+)\r\n", re.S | re.I)
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


class Tracing:
    """Traces a running gateway until it is left."""

    def __init__(self, gateway, path):
        self.gateway, self.path = gateway, path

    def __enter__(self):
        command = ["strace", "-f", "-xx", "-y", "-s", "65536", "-e", "trace=" + ",".join(f"?{call}" for call in TRACED), "-e", "signal=none",
                   "-o", str(self.path), "-p", str(self.gateway.process.pid)]
        self.log = open(f"{self.path}.log", "w+")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
        deadline = time.time() + 20
        while "attached" not in open(self.log.name).read():
            assert self.process.poll() is None and time.time() < deadline, open(self.log.name).read()
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        self.log.close()


class File:
    def __init__(self, content=b"", mode=0o600):
        self.content, self.synced, self.mode = content, b"", mode


class Directory:
    """Its entries now, those that are durable, and the changes in between."""

    def __init__(self, mode=0o700):
        self.now, self.durable, self.pending, self.mode = {}, {}, [], mode

    def change(self, name, child):
        if child is None:
            self.now.pop(name, None)
        else:
            self.now[name] = child
        self.pending.append((name, child))


def snapshot(path):
    """What is on a disk now, all of it durable."""
    mode = stat.S_IMODE(path.lstat().st_mode)
    if path.is_dir():
        directory = Directory(mode)
        directory.now = {entry.name: snapshot(entry) for entry in path.iterdir()}
        directory.durable = dict(directory.now)
        return directory
    file = File(path.read_bytes(), mode)
    file.synced = file.content
    return file


class Machine:
    """A directory's tree as a trace changes it."""

    def __init__(self, root, tree):
        self.root, self.tree, self.open, self.running, self.answered = str(root), tree, {}, {}, {}
        self.at = 0

    # The calls, from the trace's lines.

    def line(self, text):
        """Takes one line; answers the request ids that were answered with it."""
        self.at += 1
        found = LINE.match(text)
        if not found:
            return []
        thread, resumed, rest = found.groups()
        if rest.startswith(("+++", "---")):
            return []
        if resumed:
            call, begun = self.running.pop(thread, (resumed, ""))
            arguments = begun + rest
        else:
            call, _, arguments = rest.partition("(")
            self.begins(thread, call, arguments)
            if arguments.endswith("<unfinished ...>"):
                self.running[thread] = (call, arguments.removesuffix("<unfinished ...>"))
                return self.sent(call, arguments)
        if not resumed and (ids := self.sent(call, arguments)):
            return ids
        ended = re.match(r"(.*)\)\s+= (-?\d+|\?)", arguments)
        if ended and call != "done":
            self.ends(thread, call, ended[1], -1 if ended[2] == "?" else int(ended[2]))
        return []

    def sent(self, call, arguments):
        """An answer counts as soon as the call that sends it begins."""
        if call not in ("sendto", "sendmsg", "write", "writev"):
            return []
        ids = [found[1].decode() for data in strings(arguments) if (found := ANSWER.match(data))]
        for identity in ids:
            self.answered[identity] = self.at
        return ids

    def begins(self, thread, call, arguments):
        if call == "close" and (number := descriptor(arguments)) is not None:
            self.open.pop(number, None)
        if call in ("fsync", "fdatasync"):
            file = self.file(arguments)
            known = len(file.pending) if isinstance(file, Directory) else file.content if file else None
            self.running[f"sync {thread}"] = (file, known)

    def ends(self, thread, call, arguments, result):
        if call in ("fsync", "fdatasync"):
            file, known = self.running.pop(f"sync {thread}", (None, None))
            if result == 0 and isinstance(file, Directory):
                self.durable(file, known)
            elif result == 0 and file:
                file.synced = known
            return
        if result < 0:
            return
        paths = [text.decode(errors="replace") for text in strings(arguments)]
        if call in ("fcntl", "dup"):
            if call == "dup" or "DUPFD" in arguments:
                self.open[result] = self.file(arguments)
        elif call in ("openat", "openat2", "open"):
            self.opened(arguments, paths[0], result)
        elif call in ("mkdirat", "mkdir"):
            self.entry(arguments, paths[0], Directory())
        elif call in ("unlinkat", "unlink", "rmdir"):
            self.entry(arguments, paths[0], None)
        elif call in ("renameat", "renameat2", "rename", "linkat", "link"):
            directories = re.findall(r"(?:^|, )(-?\d+|AT_FDCWD)(?:<((?:\\x[0-9a-f]{2})*)[^>]*>)?, \"", arguments) if "at" in call else [("AT_FDCWD", "")] * 2
            (here, old), (there, new) = (self.place(*directory, path) for directory, path in zip(directories, paths))
            if here is None or there is None:
                return
            child = here.now.get(old)
            assert child is not None, f"{call}({arguments}): what is moved is not known"
            there.change(new, child)
            if not call.startswith("link"):
                here.change(old, None)
        elif call in ("write", "writev"):
            if isinstance(file := self.file(arguments), File):
                file.content += b"".join(strings(arguments))[:result]
        elif call in ("pwrite64",):
            if isinstance(file := self.file(arguments), File):
                offset, data = int(arguments.rsplit(", ", 1)[1]), b"".join(strings(arguments))[:result]
                file.content = file.content[:offset].ljust(offset, b"\0") + data + file.content[offset + len(data):]
        elif call == "ftruncate":
            if isinstance(file := self.file(arguments), File):
                length = int(arguments.rsplit(", ", 1)[1])
                file.content = file.content[:length].ljust(length, b"\0")
        elif call in ("copy_file_range", "sendfile", "fallocate", "pwritev", "pwritev2", "symlinkat", "symlink", "sync", "syncfs", "msync", "truncate", "creat"):
            assert self.root.encode().hex() not in arguments.replace("\\x", ""), f"{call} is not known here"

    def durable(self, directory, count):
        for name, child in directory.pending[:count]:
            if child is None:
                directory.durable.pop(name, None)
            else:
                directory.durable[name] = child
        # Kept as a list that shrinks: syncs that run beside this one have counted from the same beginning.
        directory.pending[:count] = []
        for key, (other, known) in self.running.items():
            if key.startswith("sync ") and other is directory:
                self.running[key] = (other, max(0, known - count))

    # Names.

    def file(self, arguments):
        number = descriptor(arguments)
        if number in self.open:
            return self.open[number]
        shown = re.match(r"\d+<((?:\\x[0-9a-f]{2})*)>", arguments)
        return self.walk(unescaped(shown[1]).decode(errors="replace")) if shown else None

    def walk(self, path):
        """What is at an absolute path below the root."""
        if path != self.root and not path.startswith(self.root + "/"):
            return None
        at = self.tree
        for name in path[len(self.root):].split("/"):
            if name and name != ".":
                at = at.now.get(name) if isinstance(at, Directory) else None
        return at

    def place(self, number, shown, path):
        """The directory in which the last name of a path is, and that name."""
        if path.startswith("/") or number == "AT_FDCWD":
            parent, _, name = path.rstrip("/").rpartition("/")
            return self.walk(parent), name
        at = self.open.get(int(number)) or self.walk(unescaped(shown).decode(errors="replace"))
        *parents, name = path.split("/")
        for parent in parents:
            at = at.now.get(parent) if isinstance(at, Directory) else None
        return (at if isinstance(at, Directory) else None), name

    def at_of(self, arguments, path):
        found = re.match(r"(\d+|AT_FDCWD)(?:<((?:\\x[0-9a-f]{2})*)[^>]*>)?, ", arguments)
        return self.place(*(found.groups("") if found else ("AT_FDCWD", "")), path)

    def entry(self, arguments, path, child):
        directory, name = self.at_of(arguments, path)
        if directory is not None:
            if (child is None) != (name in directory.now):
                self.hasten(directory, name)
            directory.change(name, child)

    def hasten(self, directory, name):
        """A call of another thread on this name has done its work, as another's shows, although its end is not in the trace yet."""
        for thread, (call, arguments) in list(self.running.items()):
            if call in ("mkdirat", "unlinkat") and self.at_of(arguments, strings(arguments)[0].decode()) == (directory, name):
                self.running[thread] = ("done", "")
                directory.change(name, Directory() if call == "mkdirat" else None)

    def opened(self, arguments, path, result):
        directory, name = self.at_of(arguments, path)
        if directory is None:
            return self.open.pop(result, None)
        if name not in ("", ".", *directory.now) and "O_CREAT" not in arguments:
            self.hasten(directory, name)
        file = directory if name in ("", ".") else directory.now.get(name)
        if file is None and "O_CREAT" in arguments:
            file = File()
            directory.change(name, file)
        if isinstance(file, File) and "O_TRUNC" in arguments:
            file.content = b""
        self.open[result] = file

    # The cut.

    def cut(self, directory, luck=None):
        """Writes what a power cut leaves now: what is durable, and of what is not, what `luck` decides."""
        write_tree(self.tree, directory, luck or random.Random(0), 0.5 if luck else 0)


def write_tree(node, path, luck, chance):
    if isinstance(node, File):
        path.write_bytes(node.synced if luck.random() >= chance else node.content)
        return path.chmod(node.mode)
    path.mkdir(mode=node.mode)
    entries = dict(node.durable)
    for name, child in node.pending:
        if luck.random() < chance:
            entries.pop(name, None)
            if child is not None:
                entries[name] = child
    for name, child in entries.items():
        write_tree(child, path / name, luck, chance)


def descriptor(arguments):
    found = re.match(r"(\d+)\b", arguments)
    return int(found[1]) if found else None


def strings(arguments):
    # What stands in angle brackets is a descriptor's path.
    return [unescaped(text) for text, _ in STRING.findall(re.sub(r"<(?:\\x[0-9a-f]{2})*>", "", arguments))]


def unescaped(text):
    return bytes.fromhex(text.replace("\\x", ""))


def settled(path):
    """Everything of a directory is on the disk."""
    with contextlib.suppress(OSError):
        os.sync()
    return snapshot(path)
