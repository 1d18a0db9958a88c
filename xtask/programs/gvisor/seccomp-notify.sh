# probe
"$BIN/seccomp-notify"
