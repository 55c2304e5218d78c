"""Runs operations on maps of this machine's kernel through bpf(2), for bpf-maps.test.ts.

Reads JSON lines {"spec": [type, key size, value size, max entries, flags], "ops": [[op, key hex, value hex, flags], ...]} and
writes for each a line with the list of answers: an errno as a negative number, 0, or bytes in hex. The first line written
is the number of possible CPUs. Needs root. Runs on the first CPU only, so that per-CPU lists behave alike.
"""
import ctypes
import json
import os
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
CREATE, LOOKUP, UPDATE, DELETE, NEXT, TAKE, FREEZE = 0, 1, 2, 3, 4, 21, 22


def bpf(command, attr):
    buffer = ctypes.create_string_buffer(attr + bytes(128 - len(attr)), 128)
    result = libc.syscall(SYS_BPF, command, buffer, 128)
    return result if result >= 0 else -ctypes.get_errno()


def possible_cpus():
    last = open("/sys/devices/system/cpu/possible").read().strip().split(",")[-1]
    return int(last.split("-")[-1]) + 1


CPUS = possible_cpus()
PERCPU = {5, 6, 10, 21}
KEYLESS = {22, 23, 27, 30, 31}


class Map:
    def __init__(self, spec):
        self.type, self.key_size, self.value_size = spec[:3]
        self.fd = bpf(CREATE, struct.pack("<5I", *spec))
        size = (self.value_size + 7) // 8 * 8 * CPUS if self.type in PERCPU else self.value_size
        self.user_size = size

    def element(self, command, key, value, flags=0):
        return bpf(command, struct.pack("<IIQQQ", self.fd, 0, key, value, flags))

    def call(self, command, key, value, flags):
        """One command; returns the bytes at `value` for those that answer with some."""
        k = ctypes.create_string_buffer(key, max(1, len(key))) if key is not None else None
        v = ctypes.create_string_buffer(value, max(8, self.user_size, self.key_size))
        at = ctypes.addressof(k) if k is not None and self.type not in KEYLESS else 0
        # What a command does not use has to be 0.
        value_at = 0 if command == DELETE else ctypes.addressof(v)
        result = self.element(command, at, value_at, 0 if command in (DELETE, NEXT) else flags)
        if result != 0 or command in (UPDATE, DELETE):
            return result
        return v.raw[: self.key_size if command == NEXT else self.user_size].hex()

    def dump(self):
        """All keys in the map's order, with their values."""
        found = []
        key = None
        while True:
            key = self.call(NEXT, key, b"", 0)
            if not isinstance(key, str) or len(found) > 10000:
                return found
            key = bytes.fromhex(key)
            found.append([key.hex(), self.call(LOOKUP, key, b"", 0)])

    def run(self, op, key, value, flags):
        key, value = bytes.fromhex(key), bytes.fromhex(value)
        if op == "dump":
            return self.dump()
        if op == "first":
            return self.call(NEXT, None, b"", 0)
        if op == "freeze":
            return bpf(FREEZE, struct.pack("<I", self.fd))
        command = {"lookup": LOOKUP, "update": UPDATE, "delete": DELETE, "next": NEXT, "take": TAKE}[op]
        return self.call(command, key, value, flags)


def main():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(json.dumps(CPUS))
    for line in sys.stdin:
        job = json.loads(line)
        made = Map(job["spec"])
        if made.fd < 0:
            print(json.dumps(made.fd))
            continue
        print(json.dumps([made.run(*op) for op in job["ops"]]))
        os.close(made.fd)


main()
