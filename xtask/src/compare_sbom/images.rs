//! The images: busybox, a minimal Debian, and one with packages of every language that this machine can install.

use std::{
    fs,
    path::{Path, PathBuf},
};

use uc_model::{Problem, Result};

use super::{
    measure,
    pack::{failed, pack, shell, text},
};
use crate::example_image;

/// An image, as a layout.
pub(super) struct Image {
    pub(super) name: String,
    pub(super) layout: PathBuf,
    /// Of its layer, not compressed.
    pub(super) bytes: u64,
}

/// Debian's release: the one whose packages the figures in docs/sbom.md are of.
const RELEASE: &str = "bookworm";
/// Makes a tree: the folder of all images, and the tree's root.
type Fill = fn(&Path, &Path) -> Result<()>;
/// What fills the large image beside the packages of the mixed one.
const FILLING_BYTES: usize = 700 << 20;
const FILE_BYTES: usize = 50 << 20;

/// Builds what is not there yet.
pub(super) fn build(folder: &Path) -> Result<Vec<Image>> {
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let folder = &folder
        .canonicalize()
        .map_err(|error| failed(folder, error))?;
    Ok(vec![
        busybox(folder)?,
        image(folder, "minbase", minimal)?,
        image(folder, "mixed", mixed)?,
        image(folder, "large", large)?,
    ])
}

fn busybox(folder: &Path) -> Result<Image> {
    let layout = folder.join("busybox");
    example_image::run(&layout)?;
    let blobs = layout.join("blobs/sha256");
    let sizes = fs::read_dir(&blobs)
        .map_err(|error| failed(&blobs, error))?
        .flatten();
    let bytes = sizes
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum();
    Ok(Image {
        name: "busybox".into(),
        layout,
        bytes,
    })
}

/// An image whose tree `fill` makes; the size is kept beside the layout.
fn image(folder: &Path, name: &str, fill: Fill) -> Result<Image> {
    let (layout, size) = (folder.join(name), folder.join(format!("{name}.size")));
    let known = fs::read_to_string(&size)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let bytes = match known {
        Some(bytes) => bytes,
        None => {
            let root = folder.join(format!("{name}-root"));
            say(&format!("building {name}"));
            fill(folder, &root)?;
            let bytes = pack(&root, &layout)?;
            fs::write(&size, bytes.to_string()).map_err(|error| failed(&size, error))?;
            bytes
        }
    };
    Ok(Image {
        name: name.to_owned(),
        layout,
        bytes,
    })
}

fn minimal(_: &Path, root: &Path) -> Result<()> {
    if root.join("etc/os-release").exists() {
        return Ok(());
    }
    shell("debootstrap", &["--variant=minbase", RELEASE, &text(root)]).map_err(|problem| {
        problem.remedy("run as root, with debootstrap installed and a Debian mirror in reach")
    })
}

fn copy_of(folder: &Path, other: &str, root: &Path) -> Result<()> {
    let source = folder.join(format!("{other}-root"));
    if root.exists() {
        fs::remove_dir_all(root).map_err(|error| failed(root, error))?;
    }
    shell("cp", &["--archive", &text(&source), &text(root)])
}

/// The minimal Debian with real packages of Python, Node.js, Go, Rust, Java and Ruby, each as its own tool installs them.
fn mixed(folder: &Path, root: &Path) -> Result<()> {
    copy_of(folder, "minbase", root)?;
    let steps: [(&str, Fill); 6] = [
        ("Python", python),
        ("Node.js", node),
        ("Go", go),
        ("Rust", rust),
        ("Java", java),
        ("Ruby", ruby),
    ];
    for (language, step) in steps {
        if let Err(problem) = step(folder, root) {
            say(&format!("without {language}: {problem}"));
        }
    }
    Ok(())
}

fn python(_: &Path, root: &Path) -> Result<()> {
    let target = text(&root.join("usr/local/lib/python3.11/dist-packages"));
    let fixed = ["-m", "pip", "install", "--quiet", "--target", &target];
    let packages = [
        "flask==3.0.3",
        "requests==2.32.3",
        "django==5.0.6",
        "pyyaml==6.0.2",
        "setuptools==70.0.0",
    ];
    shell("python3", &[&fixed[..], &packages].concat())
}

fn node(_: &Path, root: &Path) -> Result<()> {
    let folder = root.join("srv/app");
    make(&folder)?;
    let fixed = [
        "install",
        "--silent",
        "--ignore-scripts",
        "--prefix",
        &text(&folder),
    ];
    let packages = [
        "express@4.19.2",
        "lodash@4.17.21",
        "webpack@5.92.0",
        "@babel/core@7.24.7",
    ];
    shell("npm", &[&fixed[..], &packages].concat())
}

fn go(folder: &Path, root: &Path) -> Result<()> {
    let source = folder.join("go-source");
    make(&source)?;
    let program = "package main\n\nimport (\n\t\"github.com/sirupsen/logrus\"\n\t\"github.com/spf13/cobra\"\n)\n\n\
                   func main() {\n\tlogrus.Info((&cobra.Command{}).Name())\n}\n";
    let module = "module example.org/app\n\ngo 1.21\n\nrequire (\n\tgithub.com/sirupsen/logrus v1.9.3\n\tgithub.com/spf13/cobra v1.8.1\n)\n";
    for (name, content) in [("main.go", program), ("go.mod", module)] {
        let path = source.join(name);
        fs::write(&path, content).map_err(|error| failed(&path, error))?;
    }
    shell("go", &["-C", &text(&source), "mod", "tidy"])?;
    let target = text(&root.join("usr/local/bin/go-app"));
    shell("go", &["-C", &text(&source), "build", "-o", &target, "."])
}

/// The program of the tests, since few machines can build one; as large as the smallest real ones.
fn rust(_: &Path, root: &Path) -> Result<()> {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/uc-sbom/tests/fixtures/cargo-auditable.elf.gz");
    let target = root.join("usr/local/bin/rust-app.gz");
    fs::copy(fixture, &target).map_err(|error| failed(&target, error))?;
    shell("gzip", &["--decompress", "--force", &text(&target)])?;
    let target = text(&target.with_extension(""));
    shell("truncate", &["--size", "300000", &target])?;
    shell("chmod", &["755", &target])
}

/// The archives of this machine, as far as it has any: Debian's packages of Maven bring dozens.
fn java(_: &Path, root: &Path) -> Result<()> {
    let source = Path::new("/usr/share/java");
    let target = root.join("opt/java");
    make(&target)?;
    let entries = fs::read_dir(source).map_err(|error| failed(source, error))?;
    let mut count = 0;
    for entry in entries.flatten() {
        // Links are other names of the same archive.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file
            && entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "jar")
        {
            let target = target.join(entry.file_name());
            fs::copy(entry.path(), &target).map_err(|error| failed(&target, error))?;
            count += 1;
        }
    }
    if count == 0 {
        return Err(Problem::host("there are no Java archives").at(source.display()));
    }
    Ok(())
}

/// From rubygems.org, else what this machine's own Ruby brings.
fn ruby(_: &Path, root: &Path) -> Result<()> {
    let target = text(&root.join("var/lib/gems/3.1.0"));
    let fixed = [
        "install",
        "--quiet",
        "--no-document",
        "--install-dir",
        &target,
    ];
    let gems = ["rack:2.2.9", "sinatra:3.2.0", "rake:13.2.1"];
    shell("gem", &[&fixed[..], &gems].concat()).or_else(|problem| {
        let places = measure::text(Path::new("gem"), &["environment", "gempath"]);
        let mut copied = false;
        for place in places.unwrap_or_default().trim().split(':') {
            let source = Path::new(place).join("specifications");
            let target = root.join(place.trim_start_matches('/'));
            if source.is_dir() {
                make(&target)?;
                shell(
                    "cp",
                    &["--archive", "--dereference", &text(&source), &text(&target)],
                )?;
                copied = true;
            }
        }
        if copied { Ok(()) } else { Err(problem) }
    })
}

/// The mixed image and a gigabyte in all: memory must not depend on it.
fn large(folder: &Path, root: &Path) -> Result<()> {
    copy_of(folder, "mixed", root)?;
    make(&root.join("data"))?;
    // A generator of Marsaglia's (xorshift): hard to compress, and the same each time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut content = vec![0; FILE_BYTES];
    for number in 0..FILLING_BYTES / FILE_BYTES {
        for word in content.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        // Every second one looks like a program, so that it is spooled and searched.
        if number % 2 == 0 {
            content[..18].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0");
        }
        let path = root.join(format!("data/{number}"));
        fs::write(&path, &content).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))
}

#[allow(
    clippy::print_stdout,
    reason = "a chore reports on its standard output"
)]
fn say(text: &str) {
    println!("{text}");
}
