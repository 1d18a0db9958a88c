# needs: quota
quotactl=1; quota -v >/dev/null; repquota -a
