# needs: /usr/bin/python3
/usr/bin/python3 - <<'END'
import json, re, hashlib, tempfile, shutil, pathlib, datetime, decimal, zlib
data = {"list": list(range(100)), "text": "ä" * 10}
text = json.dumps(data, sort_keys=True)
assert json.loads(text) == data
print(hashlib.sha256(text.encode()).hexdigest(), len(zlib.compress(text.encode())))
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "file.json"
    path.write_text(text)
    shutil.copy(path, path.with_suffix(".copy"))
    shutil.copytree(folder, "tree")
    print(sorted(p.name for p in pathlib.Path(folder).iterdir()))
END
