#!/usr/bin/env python3
"""One JSON program a line in, this kernel's verdict and BPF_PROG_TEST_RUN results out. Needs root.

in:  {type, flags, license, insns: hex, maps: [{t,k,v,n,f,init,frozen}], packets: [hex]}
out: {errno, message, runs: [{ret, out} | {err}]}
"""
import ctypes
import json
import os
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
SYS_BPF = {'x86_64': 321, 'aarch64': 280}[os.uname().machine]


def bpf(cmd, attr):
    buf = ctypes.create_string_buffer(attr + bytes(144 - len(attr)), 144)
    ret = libc.syscall(SYS_BPF, cmd, buf, 144)
    return (ret, 0, buf.raw) if ret >= 0 else (-1, ctypes.get_errno(), buf.raw)


def addr(buf):
    return ctypes.addressof(buf)


def make_map(m):
    attr = struct.pack('<IIIII', m['t'], m.get('k', 0), m.get('v', 0), m.get('n', 0), m.get('f', 0))
    fd, err, _ = bpf(0, attr)
    if fd < 0:
        return -1
    for key, value in m.get('init', []):
        k = ctypes.create_string_buffer(bytes.fromhex(key), max(1, len(key) // 2))
        v = ctypes.create_string_buffer(bytes.fromhex(value), max(1, len(value) // 2))
        bpf(2, struct.pack('<IIQQQ', fd, 0, addr(k), addr(v), 0))
    if m.get('frozen'):
        bpf(22, struct.pack('<I', fd))
    return fd


def load(p, fds):
    code = bytearray(bytes.fromhex(p['insns']))
    at = 0
    while at + 8 <= len(code):
        if code[at] == 0x18:
            if code[at + 1] >> 4 in (1, 2):
                index = struct.unpack_from('<i', code, at + 4)[0]
                if 0 <= index < len(fds):
                    struct.pack_into('<i', code, at + 4, fds[index])
                else:
                    struct.pack_into('<i', code, at + 4, 9999)
            at += 8
        at += 8
    insns = ctypes.create_string_buffer(bytes(code), len(code))
    license = ctypes.create_string_buffer(p.get('license', 'GPL').encode())
    def attempt(log, size, level):
        attr = struct.pack('<IIQQIIQII', p['type'], len(code) // 8, addr(insns), addr(license), level, size, log, 0,
                           p.get('flags', 0))
        return bpf(5, attr)
    fd, err, _ = attempt(0, 0, 0)
    if fd >= 0:
        return fd, 0, ''
    log = ctypes.create_string_buffer(1 << 20)
    attempt(addr(log), 1 << 20, 1)
    lines = [l for l in log.value.decode(errors='replace').split('\n') if l and not l.startswith('processed ')]
    return -1, err, lines[-1] if lines else ''


def run(fd, kind, packet):
    data = ctypes.create_string_buffer(packet, max(1, len(packet)))
    out = ctypes.create_string_buffer(8192)
    # test: prog_fd, retval, data_size_in, data_size_out, data_in, data_out, repeat, duration, ctx sizes...
    attr = struct.pack('<IIIIQQII', fd, 0, len(packet), 8192, addr(data), addr(out), 1, 0)
    ret, err, raw = bpf(10, attr)
    if ret < 0:
        return {'err': err}
    retval, size = struct.unpack_from('<I', raw, 4)[0], struct.unpack_from('<I', raw, 12)[0]
    return {'ret': retval, 'out': out.raw[:size].hex()}


def main():
    for line in sys.stdin:
        p = json.loads(line)
        fds = [make_map(m) for m in p.get('maps', [])]
        if any(fd < 0 for fd in fds):
            result = {'errno': -1, 'message': 'a map cannot be made', 'runs': []}
        else:
            fd, err, message = load(p, fds)
            result = {'errno': err, 'message': message, 'runs': []}
            if fd >= 0:
                result['runs'] = [run(fd, p['type'], bytes.fromhex(x)) for x in p.get('packets', [])]
                os.close(fd)
        for fd in fds:
            if fd >= 0:
                os.close(fd)
        print(json.dumps(result), flush=True)


main()
