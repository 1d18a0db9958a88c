# needs: node
node -e '
const http = require("http"), crypto = require("crypto"), zlib = require("zlib");
const server = http.createServer((q, a) => { let n = 0; q.on("data", d => n += d.length); q.on("end", () => a.end(q.url + n)); });
server.listen(0, "127.0.0.1", async () => {
  const at = "http://127.0.0.1:" + server.address().port;
  for (let i = 0; i < 10; i++) console.log(await (await fetch(at + "/" + i, { method: "POST", body: "x".repeat(i * 1000) })).text());
  console.log(crypto.scryptSync("a", "b", 16).toString("hex"), zlib.gzipSync("a".repeat(1000)).length > 0);
  server.closeAllConnections(); server.close();
});'
