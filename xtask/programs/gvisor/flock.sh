# needs: flock
(flock -x 9; sleep 0.5; echo first >> log) 9>lock & sleep 0.2; flock -n lock echo taken || echo busy; flock -w 5 lock sh -c 'echo second >> log'; wait; cat log
