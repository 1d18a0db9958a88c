//! Gathers an inventory while layers stream by.
//!
//! Whoever walks the layers, lowest first, shows each entry to the [`Collector`] and gives it what it asks for. No
//! content is kept, only what was found in it.

use std::{
    io::{Read, Seek},
    sync::Arc,
};

use uc_model::{Digest, Problem};

use crate::{
    catalog::{Found, program},
    distribution::Distribution,
    evidence::{Documentation, Evidence},
    file_hash::FileHasher,
    inventory::{FileRecord, Inventory, Subject, Warning},
    overlay::{Overlay, normal_path},
    package::{Location, Package, PackageKind},
    route::Route,
};

/// The most paths at which something may be found.
const FINDINGS: usize = 400_000;
/// The most bytes that findings may take in memory.
const KEPT_BYTES: usize = 256 << 20;
/// The most files of a file list.
const FILES: usize = 2_000_000;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of a file that came earlier in the same layer, or is in a lower one.
    HardLink,
    /// A device, a pipe, a socket.
    Other,
}

/// An entry of a layer or a directory.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// As in the archive; it may begin with `/` or `./`.
    pub path: &'a [u8],
    /// What it is.
    pub kind: EntryKind,
    /// Of a file, in bytes.
    pub size: u64,
    /// Of a link: where it leads, as in the archive.
    pub link: &'a [u8],
}

/// How much of an entry's content the collector asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Nothing: go on to the next entry.
    Nothing,
    /// The first bytes, or fewer if there are no more.
    Head(usize),
    /// All bytes at once. The collector has checked that they are not too many.
    Whole,
    /// A reader that can seek, over all bytes: spool them to memory or to a temporary file.
    Seekable,
}

/// What can be read and searched.
pub trait ReadSeek: Read + Seek {}

impl<T: Read + Seek + ?Sized> ReadSeek for T {}

/// Content that was asked for.
pub enum Content<'a> {
    /// For [`Want::Head`] and [`Want::Whole`]. Where [`Want::Seekable`] was asked for, all bytes will do.
    Bytes(&'a [u8]),
    /// For [`Want::Seekable`]; it stands at the beginning.
    Reader(&'a mut dyn ReadSeek),
}

/// What a scan looks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Also what lock files name, installed or not: right for source trees, misleading for images.
    pub declared: bool,
    /// A list of all files with their hashes, which means reading every file.
    pub files: bool,
}

/// An entry whose content was asked for.
struct Pending {
    path: String,
    route: Route,
    is_head: bool,
}

/// Gathers an inventory.
///
/// ```
/// use std::io::Cursor;
///
/// use uc_sbom::{Collector, Content, Entry, EntryKind, Options, Subject, Want};
///
/// let mut collector = Collector::new(Options::default());
/// collector.begin_layer(None);
/// // For each entry of each layer, lowest first:
/// let bytes = b"Package: zlib1g\nStatus: install ok installed\nVersion: 1:1.2.13\n";
/// let mut want = collector.entry(&Entry {
///     path: b"var/lib/dpkg/status",
///     kind: EntryKind::File,
///     size: bytes.len() as u64,
///     link: b"",
/// });
/// while want != Want::Nothing {
///     want = match want {
///         // The beginning is kept by the caller: all bytes may be wanted next.
///         Want::Head(count) => collector.supply(Content::Bytes(&bytes[..count.min(bytes.len())])),
///         Want::Whole => collector.supply(Content::Bytes(bytes)),
///         // Small files from memory; larger ones from a temporary file, which costs no memory.
///         _ => collector.supply(Content::Reader(&mut Cursor::new(bytes))),
///     };
/// }
/// let inventory = collector.finish(Subject::default());
/// assert_eq!(inventory.packages[0].name, "zlib1g");
/// ```
pub struct Collector {
    options: Options,
    layers: Vec<Option<Digest>>,
    findings: Overlay<Arc<Evidence>>,
    files: Overlay<(String, String)>,
    kept_bytes: usize,
    pending: Option<Pending>,
    /// The present entry, while a hash of it may still come.
    current_file: Option<String>,
    overflow: Option<Warning>,
}

impl Collector {
    /// A collector that has seen nothing.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            layers: Vec::new(),
            findings: Overlay::new(),
            files: Overlay::new(),
            kept_bytes: 0,
            pending: None,
            current_file: None,
            overflow: None,
        }
    }

    /// Begins the next layer, which lies above all before it. A directory is one layer without a digest.
    pub fn begin_layer(&mut self, layer: Option<Digest>) {
        let index = self.layers.len();
        self.layers.push(layer);
        self.findings.begin_layer(index);
        self.files.begin_layer(index);
        self.pending = None;
        self.current_file = None;
    }

    /// Whether each regular file must be hashed with [`Collector::hasher`], whatever else is wanted of it.
    pub fn wants_hashes(&self) -> bool {
        self.options.files
    }

    /// A hasher for the present entry, if it belongs on the file list; give it back to [`Collector::hashed`].
    pub fn hasher(&self) -> Option<FileHasher> {
        (self.options.files && self.current_file.is_some()).then(FileHasher::default)
    }

    /// Takes the hash of the present entry's content.
    pub fn hashed(&mut self, hasher: FileHasher) {
        if let Some(path) = self.current_file.take()
            && self.files.len() < FILES
        {
            self.files.insert(path, hasher.finish());
        }
    }

    /// Shows an entry; answers what is wanted of its content.
    pub fn entry(&mut self, entry: &Entry<'_>) -> Want {
        self.pending = None;
        self.current_file = None;
        let Some(path) = normal_path(entry.path).filter(|path| !path.is_empty()) else {
            return Want::Nothing;
        };
        if self.findings.whiteout(&path) {
            self.files.whiteout(&path);
            return Want::Nothing;
        }
        if entry.kind == EntryKind::Directory {
            self.findings.directory(&path);
            self.files.directory(&path);
            return Want::Nothing;
        }
        self.findings.file(&path);
        self.files.file(&path);
        match entry.kind {
            EntryKind::File => self.file(path, entry.size),
            EntryKind::Symlink => {
                if let Some(evidence) = Evidence::of_symlink(&path, entry.link) {
                    self.keep(path, evidence);
                }
                Want::Nothing
            }
            EntryKind::HardLink => {
                self.hard_link(path, entry.link);
                Want::Nothing
            }
            EntryKind::Directory | EntryKind::Other => Want::Nothing,
        }
    }

    fn file(&mut self, path: String, size: u64) -> Want {
        if self.options.files {
            self.current_file = Some(path.clone());
        }
        let Some(route) = Route::of(&path, size, self.options.declared) else {
            return Want::Nothing;
        };
        // Large files of any name are data as a rule, and not worth a word.
        if size > route.size_limit() && route == Route::Program {
            return Want::Nothing;
        }
        if size > route.size_limit() {
            let problem = Problem::refused("the file is too large to be looked into")
                .limit(format!("{} bytes", route.size_limit()))
                .found(format!("{size} bytes"));
            self.keep(path, Evidence::of_found(Found::of(problem)));
            return Want::Nothing;
        }
        let want = route.want();
        self.pending = Some(Pending {
            path,
            route,
            is_head: matches!(want, Want::Head(_)),
        });
        want
    }

    /// A second name of something found stands for as long as either name does.
    fn hard_link(&mut self, path: String, link: &[u8]) {
        let Some(target) = normal_path(link) else {
            return;
        };
        if let Some(evidence) = self.findings.get(&target).map(Arc::clone) {
            self.findings.insert(path.clone(), evidence);
        }
        if let Some(hashes) = self.files.get(&target).cloned() {
            self.files.insert(path, hashes);
        }
    }

    /// Takes content that was asked for; answers what more is wanted of the same entry. Content that nobody asked for is
    /// ignored.
    pub fn supply(&mut self, content: Content<'_>) -> Want {
        let Some(pending) = self.pending.take() else {
            return Want::Nothing;
        };
        if pending.is_head
            && let Content::Bytes(head) = &content
        {
            let want = pending.route.after_head(head);
            if want != Want::Nothing {
                self.pending = Some(Pending {
                    is_head: false,
                    ..pending
                });
            }
            return want;
        }
        let evidence = Evidence::read(pending.route, &pending.path, content);
        self.keep(pending.path, evidence);
        Want::Nothing
    }

    fn keep(&mut self, path: String, evidence: Evidence) {
        if evidence.is_empty() {
            return;
        }
        self.kept_bytes += path.len() + evidence.weight();
        if self.findings.len() < FINDINGS && self.kept_bytes <= KEPT_BYTES {
            self.findings.insert(path, Arc::new(evidence));
            return;
        }
        let problem = Problem::refused("the image holds too many packages: the rest is left out")
            .limit(format!(
                "{FINDINGS} files with packages, {KEPT_BYTES} bytes"
            ));
        let layer = self.layers.last().and_then(Option::as_ref);
        self.overflow
            .get_or_insert_with(|| Warning::new(&path, layer, &problem));
    }

    /// Ends the scan.
    pub fn finish(self, subject: Subject) -> Inventory {
        let Self {
            layers,
            findings,
            files,
            overflow,
            ..
        } = self;
        let layer_of = |index: usize| layers.get(index).cloned().flatten();
        let mut packages = Vec::new();
        let mut warnings: Vec<_> = overflow.into_iter().collect();
        let mut distributions: Vec<(String, Distribution)> = Vec::new();
        let mut documentation = Documentation::default();
        for (path, held) in findings.into_entries() {
            let layer = layer_of(held.layer);
            let evidence = Arc::unwrap_or_clone(held.value);
            warnings.extend(
                evidence
                    .warnings
                    .iter()
                    .map(|problem| Warning::new(&path, layer.as_ref(), problem)),
            );
            for mut package in evidence.packages {
                // An archive within the file says where it is; the file itself does not.
                if package.locations.is_empty() {
                    package.locations.push(Location {
                        path: String::new(),
                        layer: None,
                    });
                }
                for location in &mut package.locations {
                    location.path.insert_str(0, &path);
                    location.layer.clone_from(&layer);
                }
                packages.push(package);
            }
            distributions.extend(evidence.distribution.map(|found| (path.clone(), found)));
            documentation.add(&path, evidence.licences, evidence.link);
        }
        documentation.apply(&mut packages);
        let packages = without_owned_programs(packages);
        let files = files
            .into_entries()
            .map(|(path, held)| FileRecord {
                path,
                layer: layer_of(held.layer),
                sha1: held.value.0,
                sha256: held.value.1,
            })
            .collect();
        // `etc/os-release` comes before `usr/lib/os-release`, as os-release(5) has it.
        let distribution = distributions.into_iter().next().map(|(_, found)| found);
        Inventory::new(subject, distribution, packages, files, warnings)
    }
}

/// Leaves out programs that a package of the distribution brought along: its database lists them already.
fn without_owned_programs(packages: Vec<Package>) -> Vec<Package> {
    let (programs, mut packages): (Vec<_>, Vec<_>) = packages
        .into_iter()
        .partition(|package| package.kind == PackageKind::Other);
    let free: Vec<_> = programs
        .into_iter()
        .filter(|one| !program::is_packaged(one, &packages))
        .collect();
    packages.extend(free);
    packages
}
