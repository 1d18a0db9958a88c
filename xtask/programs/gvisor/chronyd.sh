# needs: chronyc
chronyc tracking
