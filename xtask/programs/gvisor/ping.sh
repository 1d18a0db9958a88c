# needs: ping
ping -c 2 -i 0.2 127.0.0.1 >/dev/null; echo answered
