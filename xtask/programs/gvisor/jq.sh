# needs: jq
seq 1000 | jq -s 'map({n: ., s: tostring}) | group_by(.n % 7) | map({k: .[0].n, sum: (map(.n) | add)})' -c
echo '{"a": [1, {"b": null}]}' | jq -r '[paths | tostring] | join(" ")'
