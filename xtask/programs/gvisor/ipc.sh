"$BIN/ipc"
