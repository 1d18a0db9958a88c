"$BIN/seccomp-filter"
