"""A Linux kernel behind a pipe: one network namespace with two taps, commands as JSON lines.

usage: python3 taps-driver.py DIRECTORY-OF-netfilter_taps.py

  {"op": "load", "rules": TEXT}                -> {"rc": N, "err": TEXT}   flush + load in one transaction, empty conntrack
  {"op": "send", "frames": [[SIDE, HEX], ...]} -> {"out": [[[HEX, ...], [HEX, ...]], ...]}
                                                  per frame: what left t0, what left t1
  {"op": "expect"}                             -> {"text": what conntrack -L expect lists}
SIDE is 0 (into t0) or 1 (into t1). Everything a frame causes has happened when the write returns, so nothing waits.
"""
import json
import os
import socket
import struct
import subprocess
import sys

sys.path.insert(0, sys.argv[1])
import netfilter_taps as taps  # noqa: E402

oracle = taps.Oracle()
for name, value in (("icmp_msgs_per_sec", 1000000), ("icmp_msgs_burst", 1000000)):
    with open("/proc/sys/net/ipv4/" + name, "w") as sysctl:
        sysctl.write(str(value))
conntrack = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
conntrack.bind((0, 0))
# Every address that the packets use next to the router is known: nothing waits for ARP or ND.
for side, addresses in ((0, ("10.0.0.77", "10.0.0.130", "fd00::77")), (1, ("10.0.1.77", "10.0.1.200", "10.0.1.50", "fd01::77"))):
    for address in addresses:
        taps.sh("ip neigh replace %s lladdr 02:00:00:00:00:a%d dev t%d nud permanent" % (address, side, side))
taps.sh("ip route add 192.0.2.0/24 via 10.0.0.2")


def flush_conntrack():
    # IPCTNL_MSG_CT_DELETE without a tuple empties the table of this namespace.
    body = struct.pack("=BBH", 0, 0, 0)
    conntrack.send(struct.pack("=IHHII", 16 + len(body), 1 << 8 | 2, 5, 1, 0) + body)
    conntrack.recv(65536)


def load_iptables(text):
    """An iptables-save text, then an ip6tables-save text behind the line "#ip6tables"."""
    oracle.load("", check=False)
    for tool, part in zip(("iptables-nft-restore", "ip6tables-nft-restore"), text.split("#ip6tables\n")):
        done = subprocess.run([tool], input=part, capture_output=True, text=True)
        if done.returncode != 0:
            return done.returncode, done.stderr
    return 0, ""


def drain(fd):
    frames = []
    try:
        while True:
            frame = os.read(fd, 65536)
            # The kernel's own chatter (ARP, ND, MLD) comes when it likes and belongs to no packet.
            chatter = frame[12:14] == b"\x08\x06" or (frame[12:14] == b"\x86\xdd" and frame[0:2] == b"\x33\x33")
            if not chatter:
                frames.append(frame.hex())
    except BlockingIOError:
        return frames


for line in sys.stdin:
    command = json.loads(line)
    if command["op"] == "load":
        if command["rules"].startswith("#iptables\n"):
            rc, err = load_iptables(command["rules"])
        else:
            rc, err = oracle.load(command["rules"], check=False)
        flush_conntrack()
        oracle.drain()
        answer = {"rc": rc, "err": err}
    elif command["op"] == "expect":
        done = subprocess.run(["conntrack", "-L", "expect"], capture_output=True, text=True)
        answer = {"text": done.stdout}
    else:
        out = []
        for side, frame in command["frames"]:
            os.write(oracle.t1 if side else oracle.t0, bytes.fromhex(frame))
            out.append([drain(oracle.t0), drain(oracle.t1)])
        answer = {"out": out}
    print(json.dumps(answer, separators=(",", ":")), flush=True)
