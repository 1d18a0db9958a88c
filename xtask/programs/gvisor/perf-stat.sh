# needs: perf
perf stat -e task-clock:u -o out true; grep -c task-clock out
