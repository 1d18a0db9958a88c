# needs: tar gzip bzip2 xz zstd cpio
mkdir tree; for n in $(seq 50); do seq $n 1000 > tree/$n; done; ln -s 1 tree/link; ln tree/2 tree/hard
for kind in gzip bzip2 xz zstd; do tar -c --$kind --sort=name --mtime=@0 -f t.$kind tree; mkdir $kind; tar -xf t.$kind -C $kind; diff -r tree $kind/tree && echo $kind; done
xz -T2 -k tree/1; zstd -q -T2 --ultra -20 tree/3; gzip -t t.gzip; sha256sum tree/* | sha256sum
find tree | sort | cpio -o 2>/dev/null | wc -c
