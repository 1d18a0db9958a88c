# needs: rsync
up() { for _ in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.1; done; echo "nothing listens on $1" >&2; exit 1; }
mkdir -p from/sub; seq 10000 > from/a; seq 20 > from/sub/b; ln -s a from/link
rsync -a --stats from/ to | grep 'Number of files:'; diff -r from to && echo same
touch -d @1 from/a to/a; echo more >> from/a; rsync -ai --checksum from/ to
printf 'use chroot = no\n[m]\npath = %s/from\nread only = yes\nmunge symlinks = no\n' "$WORK" > conf
rsync --daemon --no-detach --address=127.0.0.1 --port=23107 --config=conf --log-file=log & server=$!
up 23107
rsync -a --port=23107 127.0.0.1::m over; diff -r from over && echo same; kill $server
