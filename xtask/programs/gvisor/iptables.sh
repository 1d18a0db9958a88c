# needs: iptables-nft unshare
unshare -Urn iptables-nft -L -n | sed -n 1,1p
