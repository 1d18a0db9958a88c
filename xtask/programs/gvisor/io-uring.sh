"$BIN/io-uring"
