# probe
"$BIN/protection-keys"
