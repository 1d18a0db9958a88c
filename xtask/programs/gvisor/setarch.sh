# needs: setarch
setarch -R echo at fixed addresses
