# needs: fatrace
timeout 2 fatrace || true; fatrace -s 1
