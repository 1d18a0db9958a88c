# probe
"$BIN/posix-queue"
