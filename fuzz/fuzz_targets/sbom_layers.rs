//! Layers of any entries: paths, links and whiteouts from foreign archives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_sbom::{Collector, Content, Entry, EntryKind, Options, Subject, Want, document};

fuzz_target!(|bytes: &[u8]| {
    let mut collector = Collector::new(Options {
        declared: true,
        files: true,
    });
    collector.begin_layer(None);
    // Each line is an entry: its kind, its path, and its content or target.
    for line in bytes.split(|byte| *byte == b'\n') {
        let mut fields = line.splitn(3, |byte| *byte == b'\t');
        let kind = match fields.next() {
            Some(b"d") => EntryKind::Directory,
            Some(b"s") => EntryKind::Symlink,
            Some(b"h") => EntryKind::HardLink,
            Some(b"+") => {
                collector.begin_layer(None);
                continue;
            }
            _ => EntryKind::File,
        };
        let path = fields.next().unwrap_or_default();
        let content = fields.next().unwrap_or_default();
        let mut want = collector.entry(&Entry {
            path,
            kind,
            size: content.len() as u64,
            link: content,
        });
        while want != Want::Nothing {
            want = collector.supply(Content::Bytes(content));
        }
    }
    let inventory = collector.finish(Subject::default());
    document::spdx(&inventory, 0).expect("serialises");
});
