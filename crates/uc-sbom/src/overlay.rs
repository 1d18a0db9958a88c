//! What is known by path, across layers: a later layer replaces and removes what earlier ones hold.
//!
//! Layers come lowest first. So only paths at which something was found are remembered; going from the top down would
//! save the reading of databases that are replaced later, but every path of the upper layers would have to be kept.

use std::collections::BTreeMap;

/// A whiteout's name begins so (OCI image specification, "Whiteouts").
const WHITEOUT: &str = ".wh.";
/// Hides all that lower layers hold in its directory.
const OPAQUE: &str = ".wh..wh..opq";

/// Values by path.
#[derive(Debug)]
pub(crate) struct Overlay<T> {
    entries: BTreeMap<String, Held<T>>,
    layer: usize,
}

/// A value, and which layer it comes from.
#[derive(Debug)]
pub(crate) struct Held<T> {
    pub(crate) layer: usize,
    pub(crate) value: T,
}

impl<T> Overlay<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            layer: 0,
        }
    }

    /// Goes on to a layer above all before it.
    pub(crate) fn begin_layer(&mut self, layer: usize) {
        self.layer = layer;
    }

    /// A directory: it replaces a file of that path, and joins a directory.
    pub(crate) fn directory(&mut self, path: &str) {
        self.entries.remove(path);
    }

    /// Anything but a directory: it replaces what was at the path, and all below it.
    pub(crate) fn file(&mut self, path: &str) {
        self.entries.remove(path);
        self.hide_below(path);
    }

    /// A whiteout, if the path's last part is one: it removes from lower layers alone, wherever it stands in its own.
    pub(crate) fn whiteout(&mut self, path: &str) -> bool {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(hidden) = name.strip_prefix(WHITEOUT) else {
            return false;
        };
        if name == OPAQUE {
            self.hide_below(parent);
        } else if !hidden.starts_with(WHITEOUT) && !hidden.is_empty() {
            let target = if parent.is_empty() {
                hidden.to_owned()
            } else {
                format!("{parent}/{hidden}")
            };
            if self
                .entries
                .get(&target)
                .is_some_and(|held| held.layer < self.layer)
            {
                self.entries.remove(&target);
            }
            self.hide_below(&target);
        }
        true
    }

    pub(crate) fn insert(&mut self, path: String, value: T) {
        let layer = self.layer;
        self.entries.insert(path, Held { layer, value });
    }

    pub(crate) fn get(&self, path: &str) -> Option<&T> {
        self.entries.get(path).map(|held| &held.value)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All values, in order of their paths.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (String, Held<T>)> {
        self.entries.into_iter()
    }

    fn hide_below(&mut self, directory: &str) {
        let layer = self.layer;
        if directory.is_empty() {
            self.entries.retain(|_, held| held.layer >= layer);
            return;
        }
        // `0` is the character after `/`.
        let (from, to) = (format!("{directory}/"), format!("{directory}0"));
        let hidden: Vec<_> = self
            .entries
            .range(from..to)
            .filter(|(_, held)| held.layer < layer)
            .map(|(path, _)| path.clone())
            .collect();
        for path in hidden {
            self.entries.remove(&path);
        }
    }
}

/// The normal form of a path: without `.`, empty parts and a leading `/`. `None` if it leads upwards.
pub(crate) fn normal_path(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut path = String::with_capacity(text.len());
    for part in text.split('/') {
        match part {
            "" | "." => continue,
            ".." => return None,
            _ => {
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(part);
            }
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(overlay: Overlay<u8>) -> Vec<String> {
        overlay.into_entries().map(|(path, _)| path).collect()
    }

    fn base() -> Overlay<u8> {
        let mut overlay = Overlay::new();
        for path in ["a/b", "a/b/c", "a/bc", "d"] {
            overlay.insert(path.into(), 0);
        }
        overlay.begin_layer(1);
        overlay
    }

    #[test]
    fn whiteouts_remove_from_lower_layers_alone() {
        let mut overlay = base();
        overlay.insert("a/b/new".into(), 1);
        assert!(overlay.whiteout("a/.wh.b"));
        assert!(overlay.whiteout(".wh.d"));
        assert!(!overlay.whiteout("a/wh.b"));
        assert_eq!(paths(overlay), ["a/b/new", "a/bc"]);
    }

    #[test]
    fn an_opaque_directory_hides_all_below_it() {
        let mut overlay = base();
        overlay.insert("a/new".into(), 1);
        overlay.whiteout("a/.wh..wh..opq");
        assert_eq!(paths(overlay), ["a/new", "d"]);
        let mut overlay = base();
        overlay.whiteout(".wh..wh..opq");
        assert_eq!(paths(overlay), [""; 0]);
    }

    #[test]
    fn a_file_replaces_a_directory_and_a_directory_a_file() {
        let mut overlay = base();
        overlay.file("a");
        assert_eq!(paths(overlay), ["d"]);
        let mut overlay = base();
        overlay.directory("d");
        overlay.directory("a");
        assert_eq!(paths(overlay), ["a/b", "a/b/c", "a/bc"]);
    }

    #[test]
    fn paths_have_one_form() {
        assert_eq!(
            normal_path(b"./usr//lib/./x/").as_deref(),
            Some("usr/lib/x")
        );
        assert_eq!(normal_path(b"/").as_deref(), Some(""));
        assert_eq!(normal_path(b"a/../b"), None);
    }
}
