# probe
"$BIN/landlock"
