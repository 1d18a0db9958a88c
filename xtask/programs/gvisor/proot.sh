# needs: proot
proot -0 sh -c "id -u; touch f; chown 5:5 f; ls f" 
