# needs: /usr/lib/postgresql/15/bin/initdb /usr/lib/postgresql/15/bin/psql
pg=/usr/lib/postgresql/15/bin
$pg/initdb -D base -A trust -U admin >/dev/null 2>errors
mkdir s
$pg/pg_ctl -D base -w -t 60 -o "-p 23104 -k $WORK/s -c listen_addresses=127.0.0.1" -l log start >/dev/null
ask() { $pg/psql -h 127.0.0.1 -p 23104 -U admin -d postgres -Atc "$1"; }
ask 'create table t as select n, md5(n::text) as m from generate_series(1, 20000) n'
ask 'create index on t(m)'
ask 'select count(*), min(m) from t'
ask 'set max_parallel_workers_per_gather = 2; set parallel_setup_cost = 0; set min_parallel_table_scan_size = 0; select sum(n) from t'
ask 'checkpoint'
$pg/pg_ctl -D base -m fast -w stop >/dev/null
