# needs: /usr/bin/python3 openssl
openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
/usr/bin/python3 - <<'END'
import socket, ssl, threading
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH); context.load_cert_chain("cert", "key")
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    with context.wrap_socket(listener.accept()[0], server_side=True) as one: one.sendall(one.recv(100)[::-1])
threading.Thread(target=serve).start()
client = ssl.create_default_context(cafile="cert")
with client.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname="localhost") as one:
    one.sendall(b"hello"); print(one.recv(100), one.version())
END
