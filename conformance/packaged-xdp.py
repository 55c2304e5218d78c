"""The kernel's half of packaged-xdp.test.ts. Reads {object, program, updates, frames} as JSON from standard input; in the
network namespace it runs in, attaches the program to one end of a veth pair, updates the maps with bpftool, sends the frames in
at the other end, and prints {passed: [frame...], stats: [...]}: what the device handed on, in order."""
import json
import select
import socket
import subprocess
import sys

job = json.load(sys.stdin)


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


for name in ("all", "default"):
    with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as f:
        f.write("1")
run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
run("ip", "link", "set", "v0", "arp", "off", "up")
run("ip", "link", "set", "v1", "arp", "off", "up")
run("ip", "link", "set", "dev", "v1", "xdpgeneric", "obj", job["object"], "program", job["program"])
attached = json.loads(subprocess.check_output(["ip", "-j", "link", "show", "v1"]))[0]["xdp"]["prog"]["id"]
shown = json.loads(subprocess.check_output(["bpftool", "-j", "prog", "show", "id", str(attached)]))
maps = {}
for number in shown.get("map_ids", []):
    info = json.loads(subprocess.check_output(["bpftool", "-j", "map", "show", "id", str(number)]))
    maps[info["name"]] = str(number)
for name, words in job["updates"]:
    if name in maps:
        run("bpftool", "map", "update", "id", maps[name], *words)

ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA = 263, 8
inward = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
inward.bind(("v0", 0))
outward = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
outward.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUFFORCE if hasattr(socket, "SO_RCVBUFFORCE") else 33, 64 << 20)
outward.bind(("v1", ETH_P_ALL))
passed = []


def drain(wait):
    while select.select([outward], [], [], wait)[0]:
        data, address = outward.recvfrom(65536)
        if address[2] != socket.PACKET_OUTGOING:
            passed.append(data.hex())


for i, frame in enumerate(job["frames"]):
    inward.send(bytes.fromhex(frame))
    if i % 32 == 31:
        drain(0)
drain(0.2)
stats = []
if "xdp_stats_map" in maps:
    dump = json.loads(subprocess.check_output(["bpftool", "-j", "map", "dump", "id", maps["xdp_stats_map"]]))
    for entry in dump:
        # xdp-filter's record: packets and bytes, one of each per processor.
        totals = [0, 0]
        for value in entry["values"]:
            raw = bytes(int(b, 16) for b in value["value"])
            totals[0] += int.from_bytes(raw[:8], "little")
            totals[1] += int.from_bytes(raw[8:16], "little")
        stats.append(totals)
print(json.dumps({"passed": passed, "stats": stats}))
