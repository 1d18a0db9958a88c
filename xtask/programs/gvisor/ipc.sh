# probe
"$BIN/ipc"
