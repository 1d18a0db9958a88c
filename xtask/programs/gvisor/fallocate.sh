# needs: fallocate
fallocate -l 1M f; stat -c %s f; fallocate -l 2M -o 1M f; stat -c %s f
