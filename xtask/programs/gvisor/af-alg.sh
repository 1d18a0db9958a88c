# needs: /usr/bin/python3
# probe
/usr/bin/python3 - <<'END'
import socket
s = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0); s.bind(("hash", "sha256")); c, _ = s.accept(); c.sendall(b"abc"); print(c.recv(32).hex())
END
