# needs: /usr/bin/python3
/usr/bin/python3 - <<'END'
import http.server, threading, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(self.path.encode() * 1000)
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
for n in range(20):
    body = urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{n}").read()
    print(n, len(body))
server.shutdown()
END
