# needs: openssl
up() { for _ in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.1; done; echo "nothing listens on $1" >&2; exit 1; }
openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=localhost 2>/dev/null
openssl s_server -accept 127.0.0.1:23106 -cert cert -key key -quiet -www >/dev/null 2>&1 &
server=$!
up 23106
openssl s_client -connect 127.0.0.1:23106 -CAfile cert -quiet -ign_eof 2>/dev/null <<<$'GET / HTTP/1.0\r\n\r' | sed -n 1,1p
kill $server
seq 1000 > plain; openssl enc -aes-256-cbc -pbkdf2 -pass pass:x -in plain -out secret; openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x -in secret | cmp - plain && echo same
openssl dgst -sha256 -sign key -out sig plain; openssl x509 -in cert -pubkey -noout > pub; openssl dgst -sha256 -verify pub -signature sig plain
openssl speed -seconds 1 -bytes 1024 sha256 >/dev/null 2>&1; openssl rand -hex 8 | wc -c
