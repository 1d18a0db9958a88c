"$BIN/file-handle"
