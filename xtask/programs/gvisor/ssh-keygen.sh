# needs: ssh-keygen ssh-agent
ssh-keygen -q -t ed25519 -N '' -f one -C c; ssh-keygen -q -t rsa -b 2048 -N word -f two -C c; ssh-keygen -l -f one | cut -d' ' -f1,3-
eval "$(ssh-agent -a agent.sock)" >/dev/null; ssh-add -q one; ssh-add -l | wc -l; echo data > data; ssh-keygen -q -Y sign -f one -n file data 2>/dev/null; ls data.sig; ssh-agent -k >/dev/null
