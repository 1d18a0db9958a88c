//! pnpm's `pnpm-lock.yaml`: the keys of its section `packages` are names with versions.

use super::named;
use crate::catalog::Found;

/// Lines beyond this many are not looked at.
const LINES: usize = 2_000_000;

/// Reads a lock file: every package it pins.
pub fn read(bytes: &[u8]) -> Found {
    let text = String::from_utf8_lossy(bytes);
    let mut found = Found::default();
    let mut in_packages = false;
    for line in text.lines().take(LINES) {
        if !line.starts_with(' ') {
            in_packages = line.trim_end() == "packages:";
            continue;
        }
        let Some(key) = line
            .strip_prefix("  ")
            .filter(|key| in_packages && !key.starts_with(' '))
        else {
            continue;
        };
        let Some((name, version)) = key.trim_end().strip_suffix(':').and_then(split_key) else {
            continue;
        };
        if let Some(package) = named(name, version)
            && !found.push(package)
        {
            break;
        }
    }
    found
}

/// `/@a/b@1.0.0(peer@2)`, `'@a/b@1.0.0'` and the older `/@a/b/1.0.0_peer@2` to name and version.
fn split_key(key: &str) -> Option<(&str, &str)> {
    let key = key.trim_matches(['\'', '"']).trim_start_matches('/');
    let key = key.split('(').next()?;
    let start = usize::from(key.starts_with('@'));
    let split = key.get(start..)?.rfind('@').map(|at| at + start);
    let (name, version) = match split.filter(|at| !key.get(..*at).unwrap_or_default().contains('_'))
    {
        Some(at) => (key.get(..at)?, key.get(at + 1..)?),
        None => {
            let key = key.split('_').next()?;
            key.rsplit_once('/')?
        }
    };
    Some((name, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_generation() {
        let text = "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies: {}\npackages:\n  /@a/b@1.0.0(peer@2.0.0):\n    resolution: {}\n  '@c/d@2.0.0':\n    x: y\n  /@e/f/3.0.0_peer@2.0.0:\n    x: y\n  plain@4.0.0:\nsnapshots:\n  no@1.0.0:\n";
        let names: Vec<_> = read(text.as_bytes())
            .packages
            .iter()
            .map(|one| format!("{}@{}", one.name, one.version))
            .collect();
        assert_eq!(
            names,
            ["@a/b@1.0.0", "@c/d@2.0.0", "@e/f@3.0.0", "plain@4.0.0"]
        );
    }
}
