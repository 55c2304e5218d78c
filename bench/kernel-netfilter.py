"""Rulesets in this kernel: JSON with nanoseconds per packet. Frames go into a veth's receive path from inside the kernel
(BPF_PROG_TEST_RUN of an XDP program that passes everything, BPF_F_TEST_XDP_LIVE_FRAMES), without a system call for each, and
meet the rules at prerouting. The time of a chain that drops everything at once is measured before each and is the harness's.

usage: python3 kernel-netfilter.py cases.json FRAMES ROUNDS       (root; makes a network namespace of its own)
"""
import ctypes
import json
import os
import platform
import struct
import subprocess
import sys
import time

path, frames, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
libc = ctypes.CDLL(None, use_errno=True)
NR_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
CLONE_NEWNET = 0x40000000
keep = []
if libc.unshare(CLONE_NEWNET) != 0:
    raise OSError(ctypes.get_errno(), "unshare")


def run(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, **more).stdout


def address(data):
    buffer = ctypes.create_string_buffer(bytes(data), max(1, len(data)))
    keep.append(buffer)
    return ctypes.addressof(buffer)


def bpf(command, attr):
    buffer = ctypes.create_string_buffer(attr.ljust(160, b"\0"), 160)
    result = libc.syscall(NR_BPF, command, buffer, 160)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()) + " in bpf(%d)" % command)
    return result


run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
run("ip", "link", "set", "v0", "address", "02:00:00:00:00:01")
for name in ("lo", "v0", "v1"):
    run("ip", "link", "set", name, "up")
run("ip", "addr", "add", "10.0.0.1/24", "dev", "v0")
ifindex = int(json.loads(run("ip", "-j", "link", "show", "v0"))[0]["ifindex"])
PASS = bytes.fromhex("b700000002000000" "9500000000000000")
prog = bpf(5, struct.pack("<IIQQIIQ", 6, 2, address(PASS), address(b"GPL\0"), 0, 0, 0))


def send(frame, count):
    context = struct.pack("<IIIIII", 0, len(frame), 0, ifindex, 0, 0)
    attr = struct.pack("<IIIIQQIIIIQQIII", prog, 0, len(frame), 0, address(frame), 0, count, 0, len(context), 0,
                       address(context), 0, 2, 0, 64)
    start = time.thread_time_ns()
    bpf(10, attr)
    return (time.thread_time_ns() - start) / count


def load(rules):
    run("nft", "-f", "-", input="flush ruleset\n" + rules)


EMPTY = "table ip t { chain c { type filter hook prerouting priority 0; policy drop; }\n}\n"
results = {}
for case in json.load(open(path)):
    frame = bytes.fromhex(case["frame"])
    for words in case.get("setup", []):
        run(*words)
    both = {"empty": [], "rules": []}
    for _ in range(rounds):
        load(EMPTY)
        send(frame, frames // 10)
        both["empty"].append(send(frame, frames))
        load(case["rules"])
        for words in case.get("after", []):
            subprocess.run(words, capture_output=True)
        send(frame, max(64, frames // 100))
        both["rules"].append(send(frame, max(64, frames // case.get("less", 1))))
    results[case["name"]] = {"empty": min(both["empty"]), "rules": min(both["rules"])}
print(json.dumps(results))
