# needs: iptables-nft unshare
unshare -Urn iptables-nft -L -n | head -n 1
