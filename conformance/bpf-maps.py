"""Runs operations on maps of this machine's kernel through bpf(2), for bpf-maps.test.ts.

Operations that begin with "p" are done by a program (helpers called on the map, run by BPF_PROG_TEST_RUN).

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
PROG_LOAD, TEST_RUN = 5, 10
# Helper numbers, by operation.
HELPERS = {"plookup": 1, "pupdate": 2, "pdelete": 3, "ppush": 87, "ppop": 88, "ppeek": 89}


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


def insn(code, dst=0, src=0, off=0, imm=0):
    return struct.pack("<BBhi", code, dst | src << 4, off, imm)


def load_map(reg, fd):
    return insn(0x18, reg, 1, 0, fd) + insn(0)


class Program:
    """Calls one helper on a map with what the control map holds: | flags | result | key, 32 bytes | value, 32 bytes |."""

    def __init__(self, helper, fd, control):
        self.control = control
        code = insn(0x62, 10, 0, -4, 0) + insn(0xBF, 2, 10) + insn(0x07, 2, 0, 0, -4) + load_map(1, control.fd)
        code += insn(0x85, 0, 0, 0, 1) + insn(0x55, 0, 0, 2, 0) + insn(0xB7, 0) + insn(0x95) + insn(0xBF, 6, 0)
        code += load_map(1, fd)
        key, value = 16, 48
        first = value if helper >= 87 else key
        code += insn(0xBF, 2, 6) + insn(0x07, 2, 0, 0, first)
        if helper == 2:
            code += insn(0xBF, 3, 6) + insn(0x07, 3, 0, 0, value) + insn(0x79, 4, 6, 0)
        if helper == 87:
            code += insn(0x79, 3, 6, 0)
        code += insn(0x85, 0, 0, 0, helper)
        if helper == 1:
            # The value's first eight bytes; -2 for none.
            code += insn(0x55, 0, 0, 3, 0) + insn(0xB7, 0, 0, 0, -2) + insn(0x7B, 6, 0, 8) + insn(0x05, 0, 0, 3)
            code += insn(0x79, 1, 0, 0) + insn(0x7B, 6, 1, value) + insn(0x7A, 6, 0, 8, 0)
        else:
            code += insn(0x7B, 6, 0, 8)
        code += insn(0xB7, 0) + insn(0x95)
        insns = ctypes.create_string_buffer(code)
        license = ctypes.create_string_buffer(b"GPL")
        count = len(code) // 8
        attr = struct.pack("<IIQQIIQ", 1, count, ctypes.addressof(insns), ctypes.addressof(license), 0, 0, 0)
        self.fd = bpf(PROG_LOAD, attr)

    def run(self, key, value, flags):
        block = struct.pack("<Qq", flags, 0) + key.ljust(32, b"\0") + value.ljust(32, b"\0")
        self.control.call(UPDATE, bytes(4), block, 0)
        data = ctypes.create_string_buffer(64)
        bpf(TEST_RUN, struct.pack("<IIIIQ", self.fd, 0, 64, 0, ctypes.addressof(data)))
        after = bytes.fromhex(self.control.call(LOOKUP, bytes(4), b"", 0))
        return struct.unpack("<q", after[8:16])[0], after[48:56].hex()


class Map:
    def __init__(self, spec):
        self.type, self.key_size, self.value_size = spec[:3]
        self.fd = bpf(CREATE, struct.pack("<5I", *spec))
        size = (self.value_size + 7) // 8 * 8 * CPUS if self.type in PERCPU else self.value_size
        self.user_size = size
        self.programs = None

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

    def helper(self, op, key, value, flags):
        if self.programs is None:
            self.control = Map([2, 4, 80, 1, 0])
            self.programs = {}
        if op not in self.programs:
            self.programs[op] = Program(HELPERS[op], self.fd, self.control)
        result, out = self.programs[op].run(key, value, flags)
        return out if result == 0 and op in ("plookup", "ppop", "ppeek") else result

    def close(self):
        os.close(self.fd)
        if self.programs is not None:
            self.control.close()
            for program in self.programs.values():
                os.close(program.fd)

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
        if op in HELPERS:
            return self.helper(op, key, value, flags)
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
        made.close()


main()
