# probe
"$BIN/fanotify"
