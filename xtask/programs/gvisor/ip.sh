# needs: ip
ip -o addr show lo | grep -c 127.0.0.1; ip route show table local >/dev/null; ip -o link show lo | grep -c lo
