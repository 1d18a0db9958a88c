"$BIN/seccomp-notify"
