"""Fills a Redis server on a Unix socket in known ways: `redis.py SOCKET SCENARIO`."""

import math
import random
import socket
import sys
import time


def command(*words):
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    lines = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n%s" % (len(parts), lines)


def connect(path):
    for _ in range(100):
        try:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(path)
            return connection
        except OSError:
            connection.close()
            time.sleep(0.1)
    raise SystemExit("the Redis server does not answer")


def send(connection, commands):
    connection.sendall(b"".join(commands))
    answers = b""
    while answers.count(b"\r\n") < len(commands):
        answers += connection.recv(65536)


def main():
    path, scenario = sys.argv[1:]
    connection = connect(path)
    random.seed(7)
    tick = key = 0
    while True:
        count = int(20 * (1 + 0.4 * math.sin(tick / 150) + 0.3 * (random.random() - 0.5)))
        commands = []
        for _ in range(count):
            key += 1
            value = b"x" * random.randint(2_000, 6_000)
            if scenario == "expiring":
                commands.append(command("SET", f"key:{key}", value, "EX", 480))
            else:
                # "leak-keys" has no bound; "bounded" runs against the server's maxmemory.
                commands.append(command("SET", f"key:{key}", value))
        send(connection, commands)
        tick += 1
        time.sleep(1)


main()
