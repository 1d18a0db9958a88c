# probe
"$BIN/vsock"
