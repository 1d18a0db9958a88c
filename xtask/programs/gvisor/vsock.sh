"$BIN/vsock"
