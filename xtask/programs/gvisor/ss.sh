# needs: ss /usr/bin/python3
/usr/bin/python3 -c 'import socket, time; s = socket.create_server(("127.0.0.1", 23109)); time.sleep(3)' & sleep 1; ss -ltn | grep -c 23109; wait
