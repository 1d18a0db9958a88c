//! The inventory of an image: its layers, lowest first.

use std::path::Path;

use uc_image::{
    Image, ImageKind,
    image::BlobSource,
    layout::{Layout as _, LayoutArchive, LayoutDirectory},
    registry::Credentials,
    store::Store,
    unpack::Limits,
    walk::{self, EntryKind, walk_layer},
};
use uc_model::{
    Problem, Result,
    workload::{ImageSource, PullPolicy},
};
use uc_sbom::{Collector, Entry, Options, Subject, SubjectKind, document};

use super::{Bill, Observer, file, name_of, spool::Spool};
use crate::Home;

pub(super) fn bill(
    home: &Home,
    source: &ImageSource,
    policy: PullPolicy,
    options: Options,
    observer: &dyn Observer,
) -> Result<Bill> {
    match source {
        ImageSource::OciLayout { directory, tag } => {
            let layout = LayoutDirectory::open(directory)?;
            let image = layout.image(tag.as_deref())?;
            let name = tagged(name_of(directory), tag.as_deref());
            of_image(&image, name, &layout, options, observer)
        }
        ImageSource::OciArchive { file, tag } => {
            let archive = LayoutArchive::open(file)?;
            let image = archive.image(tag.as_deref())?;
            let stem = name_of(file.file_stem().map_or(file, Path::new));
            of_image(
                &image,
                tagged(stem, tag.as_deref()),
                &archive,
                options,
                observer,
            )
        }
        ImageSource::Registry { reference } => {
            let store = Store::open(&home.images())?;
            let credentials = Credentials::from_environment();
            let image = store.resolve(&reference.parse()?, policy, &credentials, observer)?;
            of_image(&image, reference.clone(), &store, options, observer)
        }
        ImageSource::WasmFile { file } => file::bill(file, options),
    }
}

fn tagged(name: String, tag: Option<&str>) -> String {
    match tag {
        Some(tag) => format!("{name}:{tag}"),
        None => name,
    }
}

fn of_image(
    image: &Image,
    name: String,
    source: &dyn BlobSource,
    options: Options,
    observer: &dyn Observer,
) -> Result<Bill> {
    let mut collector = Collector::new(options);
    let mut spool = Spool::new();
    let walked = match image.kind {
        ImageKind::Rootfs => layers(image, source, &mut collector, &mut spool, observer),
        ImageKind::WasmArtifact { layer } => {
            module(image, layer, source, &mut collector, &mut spool)
        }
    };
    walked.map_err(|problem| problem.within(&image.reference))?;
    let created = image.config.created.as_deref();
    Ok(Bill {
        inventory: collector.finish(Subject {
            kind: SubjectKind::Image,
            name,
            digest: Some(image.manifest_digest.clone()),
        }),
        created_s: created.and_then(document::parse_time).unwrap_or(0),
    })
}

fn layers(
    image: &Image,
    source: &dyn BlobSource,
    collector: &mut Collector,
    spool: &mut Spool,
    observer: &dyn Observer,
) -> Result<()> {
    for layer in &image.layers {
        collector.begin_layer(Some(layer.digest.clone()));
        walk_layer(
            source,
            layer,
            Limits::default(),
            observer,
            |entry, content| {
                let want = collector.entry(&shown(entry));
                spool.supply(collector, want, content, entry.size)
            },
        )?;
    }
    Ok(())
}

fn shown<'a>(entry: &walk::Entry<'a>) -> Entry<'a> {
    Entry {
        path: entry.path,
        kind: match entry.kind {
            EntryKind::File => uc_sbom::EntryKind::File,
            EntryKind::Directory => uc_sbom::EntryKind::Directory,
            EntryKind::Symlink => uc_sbom::EntryKind::Symlink,
            EntryKind::HardLink => uc_sbom::EntryKind::HardLink,
            EntryKind::Other => uc_sbom::EntryKind::Other,
        },
        size: entry.size,
        link: entry.link,
    }
}

/// The one file of a Wasm artifact; its manifest gives it no name that could be relied on.
fn module(
    image: &Image,
    layer: usize,
    source: &dyn BlobSource,
    collector: &mut Collector,
    spool: &mut Spool,
) -> Result<()> {
    let layer = image
        .layers
        .get(layer)
        .ok_or_else(|| Problem::internal("an artifact without its layer"))?;
    collector.begin_layer(Some(layer.digest.clone()));
    let want = collector.entry(&Entry {
        path: b"module.wasm",
        kind: uc_sbom::EntryKind::File,
        size: layer.size,
        link: b"",
    });
    let bytes = source.read(&layer.descriptor(), uc_wasm::PACKAGE_LIMIT_BYTES)?;
    spool.supply(collector, want, &mut bytes.as_slice(), layer.size)
}
