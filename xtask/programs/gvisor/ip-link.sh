# needs: ip unshare
unshare -Urn sh -c 'ip link add d type dummy; ip addr add 10.9.9.1/24 dev d; ip link set d up; ip -o addr show d | grep -c 10.9.9.1'
