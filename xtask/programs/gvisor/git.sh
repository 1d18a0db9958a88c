# needs: git
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
git config --global user.name N; git config --global user.email n@example.com; git config --global init.defaultBranch main
git init -q one; cd one
for n in 1 2 3; do seq $((n * 100)) > file$n; git add .; git commit -qm "commit $n"; done
git log --format='%H %s'
git checkout -qb side HEAD~1; echo x > side; git add side; git commit -qm side; git checkout -q main; git merge -q --no-edit side
git gc -q; git fsck
cd ..; git clone -q "file://$WORK/one" two; cd two; git log --oneline | wc -l; git status --short | wc -l
git worktree add -q ../three side; ls ../three; git grep -c 10 | sed -n 1,2p; git blame -s file1 | wc -l
