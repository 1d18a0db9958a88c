# probe
"$BIN/seccomp-filter"
