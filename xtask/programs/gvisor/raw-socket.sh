# needs: /usr/bin/python3
# probe
/usr/bin/python3 - <<'END'
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
END
