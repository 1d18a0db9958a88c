"$BIN/protection-keys"
