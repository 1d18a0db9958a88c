# needs: node
cat > cluster.js <<'END'
const cluster = require("cluster"), http = require("http");
if (cluster.isPrimary) {
  let up = 0, answers = [];
  for (let i = 0; i < 2; i++) cluster.fork();
  cluster.on("listening", async (worker, address) => { if (++up < 2) return;
    for (let i = 0; i < 6; i++) answers.push(await (await fetch("http://127.0.0.1:23103/")).text());
    console.log(answers.join()); cluster.disconnect(() => process.exit(0)); });
} else http.createServer((q, a) => { a.setHeader("connection", "close"); a.end("ok"); }).listen(23103, "127.0.0.1");
END
node cluster.js
