# probe
"$BIN/file-handle"
