# probe
"$BIN/zerocopy"
