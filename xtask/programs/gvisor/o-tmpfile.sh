# probe
"$BIN/o-tmpfile"
