# needs: node
node -e '
const { Worker } = require("worker_threads"), fs = require("fs"), { execFile, fork } = require("child_process");
let left = 4, sum = 0;
for (let i = 0; i < 4; i++) {
  const one = new Worker("const w = require(\"worker_threads\"); let s = 0; for (let i = 0; i < 1e6; i++) s += i % w.workerData; w.parentPort.postMessage(s);", { eval: true, workerData: i + 2 });
  one.on("message", s => { sum += s; if (--left == 0) console.log(sum); });
}
execFile("echo", ["child"], (e, out) => console.log(out.trim()));
fs.writeFileSync("a", "text"); fs.copyFileSync("a", "b"); console.log(fs.readFileSync("b", "utf8"), fs.readdirSync(".").length);
' | sort
