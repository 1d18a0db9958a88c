# needs: unshare mount
mkdir m; unshare -Urm sh -c 'mount -t tmpfs none m && touch m/f && ls m; mount --bind /usr m; ls -d m/bin' 
