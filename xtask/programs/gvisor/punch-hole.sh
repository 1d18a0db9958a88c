# needs: fallocate
head -c 1M /dev/zero > f; fallocate -p -o 4096 -l 8192 f; stat -c %s f
