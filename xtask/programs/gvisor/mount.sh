# needs: mount
mkdir m; mount -t tmpfs none m; mount --bind /etc m
