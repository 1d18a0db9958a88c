# probe
"$BIN/exchange"
