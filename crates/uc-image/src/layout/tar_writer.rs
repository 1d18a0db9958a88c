//! A layer's tar stream from a directory: the same tree gives the same bytes.

use std::{
    fs,
    io::{self, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::Path,
};

use uc_model::{Problem, Result};

/// Directories nested deeper than this are refused.
const DEPTH: usize = 256;

/// Writes the tree below `root` as a tar stream: names sorted, owner 0:0, times 0, no extended attributes, so that the
/// digest depends on names, modes and contents alone. Symbolic links are kept as they are; sockets are left out.
///
/// # Errors
/// Storage or not found, naming the file; refused for devices.
pub fn layer_from_directory(root: &Path, sink: impl Write) -> Result<()> {
    let mut builder = tar::Builder::new(sink);
    append_directory(&mut builder, root, Path::new(""), 0)?;
    builder.finish().map_err(|error| failed(root, error))
}

fn append_directory(
    builder: &mut tar::Builder<impl Write>,
    root: &Path,
    below: &Path,
    depth: usize,
) -> Result<()> {
    let directory = root.join(below);
    if depth > DEPTH {
        return Err(Problem::refused("the directory tree is too deep")
            .at(directory.display())
            .limit(DEPTH));
    }
    let mut names = fs::read_dir(&directory)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<io::Result<Vec<_>>>()
        })
        .map_err(|error| failed(&directory, error))?;
    names.sort();
    for name in names {
        let inside = below.join(name);
        append(builder, root, &inside, depth)?;
    }
    Ok(())
}

fn append(
    builder: &mut tar::Builder<impl Write>,
    root: &Path,
    inside: &Path,
    depth: usize,
) -> Result<()> {
    let path = root.join(inside);
    let metadata = fs::symlink_metadata(&path).map_err(|error| failed(&path, error))?;
    let kind = metadata.file_type();
    let mut header = tar::Header::new_gnu();
    header.set_mode(metadata.mode() & 0o7777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    if kind.is_dir() {
        header.set_entry_type(tar::EntryType::Directory);
        let mut name = inside.as_os_str().as_bytes().to_vec();
        name.push(b'/');
        let name = std::ffi::OsStr::from_bytes(&name);
        builder
            .append_data(&mut header, name, io::empty())
            .map_err(|error| failed(&path, error))?;
        return append_directory(builder, root, inside, depth + 1);
    }
    let appended = if kind.is_symlink() {
        header.set_entry_type(tar::EntryType::Symlink);
        fs::read_link(&path).and_then(|target| builder.append_link(&mut header, inside, target))
    } else if kind.is_file() {
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(metadata.len());
        fs::File::open(&path).and_then(|file| builder.append_data(&mut header, inside, file))
    } else if kind.is_fifo() {
        header.set_entry_type(tar::EntryType::Fifo);
        builder.append_data(&mut header, inside, io::empty())
    } else if kind.is_socket() {
        Ok(())
    } else {
        return Err(Problem::refused("a layer cannot hold devices").at(path.display()));
    };
    appended.map_err(|error| failed(&path, error))
}

fn failed(path: &Path, error: io::Error) -> Problem {
    Problem::storage("cannot pack a directory into a layer")
        .at(path.display())
        .caused_by(error)
}
