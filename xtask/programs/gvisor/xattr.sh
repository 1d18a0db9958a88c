# needs: setfattr
echo x > f; setfattr -n user.a -v b f; getfattr --only-values -n user.a f; echo; cp --preserve=xattr f g; getfattr -d g | grep -c user.a
