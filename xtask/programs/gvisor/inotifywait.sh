# needs: inotifywait
mkdir d; (sleep 1; touch d/new; mv d/new d/moved; rm d/moved) & inotifywait -q -t 20 -e create,moved_to,delete --format '%e %f' d; wait
