# needs: awk bc
seq 50000 | awk '{ s += $1; if ($1 % 1000 == 0) print $1, s }' | sed -n 's/^\([0-9]*\)000 /\1k /p' | sort -k2 -rn | sed -n 1,5p
seq 200000 | sort -R --random-source=<(yes) | sort -n -S 1M --parallel=2 -T . | md5sum
mkdir -p d/{a,b}/{c,d}; touch d/{a,b}/{c,d}/{1,2}.txt; find d -name '*.txt' -newermt 2000-01-01 -print0 | sort -z | xargs -0 -n 2 -P 2 ls | sort | wc -l
find d -type f -exec stat -c %s {} + | paste -sd+ | bc; comm -12 <(seq 10 | sort) <(seq 5 15 | sort) | wc -l; split -n 4 <(seq 10) 2>/dev/null || seq 10 | split -l 3 - part; ls part* | wc -l
tac <(seq 3) | tr '\n' ,; echo; cut -d: -f1 /etc/passwd | sed -n 1,1p; od -An -tx1 <<<abc; du -s d | cut -f2; grep -rc '' /etc/passwd >/dev/null; find d -type f | sort | sed -n 1,1p; df . | wc -l; nproc | grep -c .; date -u -d @0 +%F
