"$BIN/exchange"
