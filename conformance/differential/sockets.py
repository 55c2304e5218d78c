"""Plays socket cases from standard input to the running kernel, in the namespace this is started in, and prints what
each call answered: one JSON array in, one out. A case is a list of steps on numbered sockets."""
import errno, json, socket, struct, sys, time

SO_REUSEPORT = 15
SO_BINDTODEVICE = 25


def address(spec):
    return (spec["address"], spec["port"])


def play(case):
    socks, out = [], []
    for step in case:
        kind = step["do"]
        try:
            if kind == "socket":
                family = socket.AF_INET if step["family"] == 4 else socket.AF_INET6
                s = socket.socket(family, socket.SOCK_DGRAM)
                s.setblocking(False)
                socks.append(s)
                out.append(0)
            elif kind == "set":
                value = step["value"]
                if isinstance(value, str):
                    value = value.encode() + b"\0"
                socks[step["sock"]].setsockopt(step["level"], step["name"], value)
                out.append(0)
            elif kind == "get":
                out.append(socks[step["sock"]].getsockopt(step["level"], step["name"]))
            elif kind == "bind":
                socks[step["sock"]].bind(address(step))
                out.append(0)
            elif kind == "connect":
                socks[step["sock"]].connect(address(step))
                out.append(0)
            elif kind == "disconnect":
                socks[step["sock"]].connect(("", 0)) if False else disconnect(socks[step["sock"]])
                out.append(0)
            elif kind == "send":
                out.append(socks[step["sock"]].sendto(bytes(step["data"]), address(step)))
            elif kind == "write":
                out.append(socks[step["sock"]].send(bytes(step["data"])))
            elif kind == "recv":
                out.append(list(socks[step["sock"]].recv(65536)))
            elif kind == "name":
                out.append(list(socks[step["sock"]].getsockname()[:2]))
            elif kind == "close":
                socks[step["sock"]].close()
                out.append(0)
        except OSError as e:
            out.append(-e.errno)
    for s in socks:
        s.close()
    return out


def disconnect(s):
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(s.fileno(), struct.pack("=H14x", 0), 16) != 0:
        raise OSError(ctypes.get_errno(), "connect")


print(json.dumps([play(case) for case in json.load(sys.stdin)]))
