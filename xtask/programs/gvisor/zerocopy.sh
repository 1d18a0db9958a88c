"$BIN/zerocopy"
