while read -r a b; do echo "$b $a"; done < <(paste <(seq 3) <(seq 4 6))
coproc C { while read -r x; do echo "got $x"; done; }; echo one >&"${C[1]}"; read -r answer <&"${C[0]}"; echo "$answer"; kill $C_PID
trap 'echo term' TERM; kill -TERM $$; (sleep 0.1; exit 4) & wait $! || echo $?
exec 5<>/dev/tcp/127.0.0.1/1 2>/dev/null || echo refused
declare -A map=([a]=1 [b]=2); echo "${!map[@]}" | tr ' ' '\n' | sort | paste -sd,; printf '%(%Y)T\n' 0; echo $((2**40)); cat <<<here | tee >(wc -c >count) >/dev/null; sleep 0.3; cat count; ulimit -n 200; ulimit -n; umask 077; touch f; stat -c %a f
set -m; sleep 0.1 & fg >/dev/null; time -p true 2>/dev/null; mkfifo p 2>/dev/null && echo fifo
