# needs: gpg
export GNUPGHOME=$WORK/g; mkdir -m 700 g; gpg -q --batch --passphrase '' --quick-gen-key n@example.com rsa2048 sign 2>/dev/null; echo data > f; gpg -q --batch --armor --detach-sign f; gpg -q --verify f.asc f 2>/dev/null && echo good; gpg --batch -q --passphrase x --pinentry-mode loopback -c f; gpg --batch -q --passphrase x --pinentry-mode loopback -d f.gpg; gpgconf --kill all
