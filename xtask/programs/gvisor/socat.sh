# needs: socat
socat TCP-LISTEN:23117,bind=127.0.0.1,reuseaddr,fork EXEC:'tr a-z A-Z' & server=$!
sleep 1; echo hello | socat -t 2 - TCP:127.0.0.1:23117; socat UNIX-LISTEN:s,fork PIPE & local=$!; sleep 0.5; echo back | socat -t 1 - UNIX-CONNECT:s; socat -u EXEC:'echo in a terminal',pty - | tr -d '\r'; kill $server $local
