//! Processes of this host by what they came of.

use std::fs;

/// All processes that came of one and have not lost their parent; empty where it has ended. What begins or ends meanwhile may
/// be missed.
pub fn descendants(process: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut waiting = vec![process];
    while let Some(parent) = waiting.pop() {
        let threads = fs::read_dir(format!("/proc/{parent}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            let children = children.split_whitespace();
            for child in children.filter_map(|text| text.parse().ok()) {
                found.push(child);
                waiting.push(child);
            }
        }
    }
    found
}
