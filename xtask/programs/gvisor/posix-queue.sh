"$BIN/posix-queue"
