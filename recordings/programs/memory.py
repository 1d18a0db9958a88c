"""Programs that hold memory in known ways: `memory.py SCENARIO`. Each tick stands for a second of requests."""

import collections
import math
import random
import sys
import time

KIB = 1024
MIB = 1024 * KIB


def load(tick):
    return 1.0 + 0.4 * math.sin(tick / 200) + 0.3 * (random.random() - 0.5)


class LeakRegistry:
    """Listeners are registered with every session and never removed."""

    def __init__(self):
        self.listeners = []

    def tick(self, tick):
        for _ in range(int(6 * load(tick))):
            session = bytearray(12 * KIB)
            self.listeners.append(session)


class LeakMemo:
    """A memo keyed by a value that never repeats, beside a healthy working set."""

    def __init__(self):
        self.memo = {}
        self.work = []

    def tick(self, tick):
        for number in range(int(120 * load(tick))):
            self.memo[(tick, number)] = str(tick) * 60
        self.work = [bytearray(MIB) for _ in range(int(10 * load(tick)))]


class LruPlateau:
    """An LRU cache that fills during the first half hour and then replaces."""

    def __init__(self):
        self.cache = collections.OrderedDict()

    def tick(self, tick):
        for _ in range(int(14 * load(tick))):
            key = int(random.paretovariate(0.35)) % 40_000
            self.cache[key] = self.cache.pop(key, None) or bytearray(9 * KIB)
            if len(self.cache) > 9_000:
                self.cache.popitem(last=False)


class PeriodicBatch:
    """A batch every seven minutes builds a table and drops it."""

    def __init__(self):
        self.table = []

    def tick(self, tick):
        phase = tick % 420
        if phase < 150:
            self.table.append(bytearray(int(700 * KIB * load(tick))))
        elif phase == 200:
            self.table = []


class TrafficRamp:
    """Sessions follow the traffic, which climbs for half an hour and stays."""

    def __init__(self):
        self.sessions = collections.deque()

    def tick(self, tick):
        wanted = 2_000 + 6_000 * min(1.0, tick / 1_800) + 300 * math.sin(tick / 90)
        while len(self.sessions) < wanted:
            self.sessions.append(bytearray(20 * KIB))
        while len(self.sessions) > wanted:
            self.sessions.popleft()


SCENARIOS = {
    "leak-registry": LeakRegistry,
    "leak-memo": LeakMemo,
    "lru-plateau": LruPlateau,
    "periodic-batch": PeriodicBatch,
    "traffic-ramp": TrafficRamp,
}


def main():
    random.seed(7)
    base = bytearray(30 * MIB)
    base[:: 4 * KIB] = b"\1" * len(base[:: 4 * KIB])
    scenario = SCENARIOS[sys.argv[1]]()
    tick = 0
    while True:
        scenario.tick(tick)
        tick += 1
        time.sleep(1)


main()
