"$BIN/threads"
