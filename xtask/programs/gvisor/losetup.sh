# needs: losetup
truncate -s 1M f; losetup -f f
