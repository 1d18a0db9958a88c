# needs: /usr/sbin/mariadbd
mkdir base tmp; printf 'create database d;\nuse d;\ncreate table t(n int primary key, s varchar(20)) engine=innodb;\ninsert into t values(1,"a"),(2,"b");\nselect * from t;\n' > sql
/usr/sbin/mariadbd --no-defaults --datadir="$WORK/base" --tmpdir="$WORK/tmp" --bootstrap --skip-grant-tables --innodb-buffer-pool-size=16M --lc-messages-dir=/usr/share/mysql < sql 2>log
ls base/d
