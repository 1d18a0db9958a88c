# needs: node
node -e '
const fs = require("fs"); fs.mkdirSync("d");
const watcher = fs.watch("d", (kind, name) => { console.log(name); watcher.close(); clearTimeout(timer); });
const timer = setTimeout(() => { console.log("nothing seen"); process.exit(1); }, 8000);
setTimeout(() => fs.writeFileSync("d/file", "x"), 200);
'
