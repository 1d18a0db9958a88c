// Programs that hold memory in known ways: `memory.js SCENARIO`. Each tick stands for a second of requests.
"use strict";

const KIB = 1024;
const load = (tick) => 1 + 0.4 * Math.sin(tick / 130) + 0.3 * (Math.random() - 0.5);
const record = () => Buffer.alloc(12 * KIB, 1);

const garbage = (tick) => {
  const kept = [];
  for (let i = 0; i < 300 * load(tick); i++) kept.push({ i, text: "x".repeat(200) + i });
};

const scenarios = {
  // A timer per session closes over it and is never cleared.
  "leak-closures": () => {
    const listeners = [];
    return (tick) => {
      garbage(tick);
      for (let i = 0; i < 6 * load(tick); i++) {
        const session = record();
        listeners.push(() => session.length);
      }
    };
  },
  "lru-plateau": () => {
    const cache = new Map();
    return (tick) => {
      garbage(tick);
      for (let i = 0; i < 12 * load(tick); i++) {
        const key = Math.floor(Math.random() * 30_000);
        cache.delete(key);
        cache.set(key, record());
        if (cache.size > 8_000) cache.delete(cache.keys().next().value);
      }
    };
  },
  "gc-sawtooth": () => garbage,
};

const step = scenarios[process.argv[2]]();
let tick = 0;
setInterval(() => step(tick++), 1000);
