# probe
"$BIN/io-uring"
