# needs: dnsmasq dig
dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --port=23116 --listen-address=127.0.0.1 --bind-interfaces --address=/name.test/10.1.2.3 --pid-file= --user= >/dev/null 2>errors & server=$!
sleep 1; dig +short +tries=3 -p 23116 @127.0.0.1 name.test; kill $server
