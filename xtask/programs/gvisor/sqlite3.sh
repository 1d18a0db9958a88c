# needs: sqlite3
sqlite3 base.db <<'END'
pragma journal_mode=wal;
create table t(id integer primary key, name text);
insert into t(name) select 'n' || value from generate_series(1, 5000);
create index i on t(name);
select count(*), max(name) from t where name like 'n1%';
pragma wal_checkpoint(truncate);
pragma integrity_check;
END
sqlite3 base.db 'pragma mmap_size=1000000; select sum(id) from t; vacuum'
