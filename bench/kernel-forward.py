"""Forwarding through two kernel namespaces: tap -> router A -> veth -> router B -> tap. Prints nanoseconds per packet.

usage: python3 kernel-forward.py PACKETS ROUNDS       (root; makes its own namespaces and removes them)
"""
import ctypes
import fcntl
import os
import struct
import subprocess
import sys
import time

packets, rounds = int(sys.argv[1]), int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
a, b = "nlbench-a-%d" % os.getpid(), "nlbench-b-%d" % os.getpid()


def sh(command):
    subprocess.run(command, shell=True, check=True, capture_output=True)


def enter(name):
    fd = os.open("/run/netns/" + name, os.O_RDONLY)
    if libc.setns(fd, 0):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(fd)


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))
    return fd


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


sh("ip netns add %s && ip netns add %s" % (a, b))
try:
    sh("ip link add va netns %s type veth peer name vb netns %s" % (a, b))
    enter(a)
    t0 = tap("t0")
    enter(b)
    t1 = tap("t1")
    for ns, port, veth, net, other, mac in ((a, "t0", "va", "10.0.0.1/24", "10.1.0.1/30", "00"), (b, "t1", "vb", "10.0.1.1/24", "10.1.0.2/30", "01")):
        sh("ip -n %s link set %s address 02:00:00:00:00:%s up" % (ns, port, mac))
        sh("ip -n %s link set %s up" % (ns, veth))
        sh("ip -n %s addr add %s dev %s" % (ns, net, port))
        sh("ip -n %s addr add %s dev %s" % (ns, other, veth))
        sh("ip netns exec %s sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'" % ns)
    sh("ip -n %s route add 10.0.1.0/24 via 10.1.0.2" % a)
    sh("ip -n %s route add 10.0.0.0/24 via 10.1.0.1" % b)
    sh("ip -n %s neigh add 10.0.1.2 lladdr 02:00:00:00:00:a1 dev t1" % b)
    payload = struct.pack("!HHHH", 1000, 53, 26, 0) + b"x" * 18
    header = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, 17, 0, 0x0A000002, 0x0A000102)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    frame = bytes.fromhex("0200000000000200000000a00800") + header + payload
    write, read = os.write, os.read
    best = None
    for _ in range(rounds + 1):  # the first round resolves the neighbours
        out = 0
        start = time.perf_counter_ns()
        for _ in range(packets // 100):
            for _ in range(100):
                write(t0, frame)
            try:
                while True:
                    out += read(t1, 2048)[12:14] == b"\x08\x00"
            except BlockingIOError:
                pass
        spent = (time.perf_counter_ns() - start) / packets
        if out >= packets * 0.99:
            best = spent if best is None else min(best, spent)
    print(best if best is not None else "lost")
finally:
    sh("ip netns del %s; ip netns del %s" % (a, b))
