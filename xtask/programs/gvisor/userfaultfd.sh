# probe
"$BIN/userfaultfd"
