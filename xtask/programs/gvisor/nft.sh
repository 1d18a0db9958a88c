# needs: nft unshare
unshare -Urn nft list ruleset; unshare -Urn sh -c 'nft add table ip t; nft list tables'
