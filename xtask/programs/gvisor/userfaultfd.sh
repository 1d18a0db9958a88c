"$BIN/userfaultfd"
