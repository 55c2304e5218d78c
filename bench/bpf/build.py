"""Compiles the programs of this folder with Debian's clang and writes programs.jsonl: the packet, then a program a line:
instructions (an LD_IMM64 of a map has the map's index), maps in order, their contents.

usage: python3 build.py [clang]
"""
import json
import os
import platform
import struct
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
clang = sys.argv[1] if len(sys.argv) > 1 else "clang"
HASH, ARRAY, PERCPU_ARRAY, LRU_HASH, LPM = 1, 2, 6, 9, 11


def shape(type, key, value, entries, flags=0):
    return {"type": type, "key": key, "value": value, "entries": entries, "flags": flags}


MAPS = {
    "counters": shape(PERCPU_ARRAY, 4, 8, 4),
    "vips": shape(HASH, 8, 4, 512),
    "flows": shape(LRU_HASH, 16, 4, 4096),
    "ring": shape(ARRAY, 4, 4, 1024),
    "servers": shape(PERCPU_ARRAY, 4, 24, 64),
    "routes": shape(LPM, 8, 4, 4096, 1),
    "seen": shape(ARRAY, 4, 8, 256),
    "hops": shape(ARRAY, 4, 16, 64),
}


def contents(name):
    """Pairs of key and value that the measurement starts with."""
    u32 = lambda n: struct.pack("<I", n)
    if name == "vips":
        # 10.1.0.0/24, ports 80 and 443
        return [(bytes([10, 1, 0, i]) + struct.pack(">H", port) + b"\x11\0", u32(i)) for i in range(200) for port in (80, 443)]
    if name == "ring":
        return [(u32(i), u32(i * 7 % 64)) for i in range(1024)]
    if name == "hops":
        return [(u32(i), bytes([2, 0, 0, 0, 0, i, 2, 0, 0, 0, 1, i]) + u32(0)) for i in range(64)]
    if name == "routes":
        # A default route, 10.0.0.0/8, 512 of length 16 to 24 below, and what covers the packet last.
        routes = [(0, [0, 0, 0, 0]), (8, [10, 0, 0, 0])]
        routes += [(16, [10, i, 0, 0]) for i in range(256)] + [(24, [10, 1, i, 0]) for i in range(256)]
        return [(u32(length) + bytes(a), u32((length + sum(a)) % 64)) for length, a in routes]
    return []


def extract(path):
    with open(path, "rb") as f:
        elf = f.read()
    shoff, = struct.unpack_from("<Q", elf, 40)
    shentsize, shnum, shstrndx = struct.unpack_from("<HHH", elf, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, shoff + i * shentsize) for i in range(shnum)]
    text = lambda table, at: elf[table[4] + at : elf.index(b"\0", table[4] + at)].decode()
    named = {text(sections[shstrndx], s[0]): (i, s) for i, s in enumerate(sections)}
    index, code = named["xdp"]
    insns = bytearray(elf[code[4] : code[4] + code[5]])
    symtab = named[".symtab"][1]
    maps = []
    if ".relxdp" in named:
        rel = named[".relxdp"][1]
        for at in range(rel[4], rel[4] + rel[5], 16):
            offset, info = struct.unpack_from("<QQ", elf, at)
            name = text(sections[symtab[6]], struct.unpack_from("<I", elf, symtab[4] + (info >> 32) * 24)[0])
            if name not in maps:
                maps.append(name)
            insns[offset + 1] = insns[offset + 1] & 15 | 1 << 4
            struct.pack_into("<I", insns, offset + 4, maps.index(name))
    return insns.hex(), maps


def packet():
    """60 bytes of Ethernet, IPv4, UDP, to 10.1.0.7 port 80."""
    ip = bytes.fromhex("4500002e00004000401100000a00000a0a010007")
    udp = bytes.fromhex("03e80050001a0000") + b"x" * 18
    return bytes.fromhex("0200000000010200000000020800") + ip + udp


programs = []
for name in ["empty", "port_filter", "load_balancer", "lpm_router", "alu", "parser"]:
    with tempfile.TemporaryDirectory() as out:
        object = os.path.join(out, "p.o")
        include = "/usr/include/%s-linux-gnu" % platform.machine()
        source = os.path.join(here, name + ".bpf.c")
        subprocess.run([clang, "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-I", include, "-c", source, "-o", object], check=True)
        insns, maps = extract(object)
    programs.append({
        "name": name,
        # Repeats are divided by this, so that a measurement of a slow program is not longer.
        "verifyOnly": name == "parser",
        "weight": 200 if name == "alu" else 1,
        "insns": insns,
        "maps": [{"name": m, **MAPS[m], "contents": [[k.hex(), v.hex()] for k, v in contents(m)]} for m in maps],
    })
with open(os.path.join(here, "programs.jsonl"), "w") as f:
    for line in [{"packet": packet().hex()}] + programs:
        json.dump(line, f, separators=(",", ":"))
        f.write("\n")
