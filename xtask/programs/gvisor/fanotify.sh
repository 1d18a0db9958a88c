"$BIN/fanotify"
