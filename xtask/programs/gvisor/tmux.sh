# needs: tmux
export TERM=xterm SHELL=/bin/bash
tmux -S sock -f /dev/null new-session -d -x 80 -y 24 'bash --norc'
tmux -S sock send-keys 'echo $((6*7)) > answer' Enter
for _ in $(seq 100); do test -s answer && break; sleep 0.1; done
cat answer; tmux -S sock split-window 'sleep 100'; tmux -S sock list-panes | wc -l; tmux -S sock capture-pane -p -t 0 | grep -c answer >/dev/null; tmux -S sock kill-server
