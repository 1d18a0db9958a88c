# probe
"$BIN/threads"
