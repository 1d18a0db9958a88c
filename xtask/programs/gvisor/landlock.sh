"$BIN/landlock"
