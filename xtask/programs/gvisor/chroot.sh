# needs: chroot
chroot / true
