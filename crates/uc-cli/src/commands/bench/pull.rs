//! Pulling and unpacking a large image from a registry on this machine, beside skopeo and umoci.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde::Serialize;
use uc_image::layout::{ConfigDraft, LayoutWriter};
use uc_model::Result;

use super::{
    fixture::Fixture,
    peers::{Registry, failed, is_on_path, timed},
    statistics::Summary,
};

/// Layers of the image, each of as many files.
const LAYERS: usize = 4;
const FILES: usize = 400;
/// Bytes of a file: all together make 320 MB.
const FILE_BYTES: usize = 200_000;
/// What the peak resident memory must stay below, whatever the image, in MB (100 MiB).
const MEMORY_PROMISE_MB: f64 = 104.9;

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Pull {
    pub(super) image_mb: f64,
    pub(super) ours_ms: Option<Summary>,
    pub(super) theirs_ms: Option<Summary>,
    /// Ours divided by theirs.
    pub(super) ratio: Option<f64>,
    pub(super) peak_memory_mb: f64,
    pub(super) memory_promise_mb: f64,
    pub(super) skipped: Option<String>,
}

impl Pull {
    /// For people.
    pub(super) fn words(&self) -> String {
        let title = format!(
            "Pull and unpack, {:.0} MB, registry on this machine",
            self.image_mb
        );
        if let Some(reason) = &self.skipped {
            return format!("{title}: skipped: {reason}\n");
        }
        let shown = |summary: Option<Summary>| {
            summary.map_or("-".into(), |one| {
                format!("{:.0} ms ± {:.0}", one.median, one.deviation)
            })
        };
        format!(
            "{title} (measured): {}; skopeo and umoci {}; ratio {:.2} (promise: 0.5)\n\
             Peak memory of it: {:.1} MB (measured; promise: {:.1} MB)\n",
            shown(self.ours_ms),
            shown(self.theirs_ms),
            self.ratio.unwrap_or(f64::NAN),
            self.peak_memory_mb,
            self.memory_promise_mb
        )
    }
}

/// Measures in turns, each round into directories that did not exist before; nothing is deleted until the end, since a
/// file system is slower for a while after that.
pub(super) fn pull(fixture: &Fixture, uc: &str, rounds: usize) -> Result<Pull> {
    let mut report = Pull {
        image_mb: (LAYERS * FILES * FILE_BYTES) as f64 / 1e6,
        ours_ms: None,
        theirs_ms: None,
        ratio: None,
        peak_memory_mb: 0.0,
        memory_promise_mb: MEMORY_PROMISE_MB,
        skipped: None,
    };
    report.skipped = ["docker-registry", "skopeo", "umoci"]
        .into_iter()
        .find(|program| !is_on_path(program))
        .map(|program| format!("{program} is not on PATH"));
    if report.skipped.is_some() {
        return Ok(report);
    }
    make_image(fixture)?;
    let registry = Registry::start(fixture)?;
    let reference = format!("127.0.0.1:{}/bench:pull", registry.port);
    run(Command::new("skopeo").args([
        "copy",
        "--dest-tls-verify=false",
        &format!("oci:{}:pull", fixture.file("large")),
        &format!("docker://{reference}"),
    ]))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (elapsed, peak_mb) = timed(
            Command::new(uc)
                .args(["image", "pull", &reference])
                .env("UC_HOME", fixture.file(&format!("ours-{round}"))),
        )?;
        ours.push(elapsed);
        report.peak_memory_mb = report.peak_memory_mb.max(peak_mb);
        let directory = fixture.file(&format!("theirs-{round}"));
        fs::create_dir(&directory)
            .map_err(|error| failed("cannot make a directory").caused_by(error))?;
        let script = format!(
            "skopeo copy --quiet --src-tls-verify=false docker://{reference} oci:{directory}/layout:pull && \
             umoci unpack --image {directory}/layout:pull {directory}/bundle"
        );
        theirs.push(timed(Command::new("sh").args(["-c", &script]))?.0);
    }
    report.ours_ms = Summary::of(&ours);
    report.theirs_ms = Summary::of(&theirs);
    report.ratio = report
        .ours_ms
        .zip(report.theirs_ms)
        .map(|(ours, theirs)| ours.median / theirs.median);
    Ok(report)
}

/// Text of made-up words, which compresses about as programs do (to a third); the same in every run.
fn make_image(fixture: &Fixture) -> Result<()> {
    let writer = LayoutWriter::open(Path::new(&fixture.file("large")))?;
    let mut random = fastrand::Rng::with_seed(7);
    let mut layers = Vec::new();
    for layer in 0..LAYERS {
        let root = fixture.file(&format!("large-{layer}"));
        for number in 0..FILES {
            let path = format!("{root}/usr/lib/part-{layer}/{}/{number}", number % 20);
            let path = Path::new(&path);
            let text: Vec<u8> = std::iter::repeat_with(|| {
                b"etaoinshrdlu    "[random.usize(..16)] ^ (random.u8(..) & 1)
            })
            .take(FILE_BYTES)
            .collect();
            fs::create_dir_all(path.parent().unwrap_or(path))
                .and_then(|()| fs::write(path, text))
                .map_err(|error| failed("cannot make an image").caused_by(error))?;
        }
        layers.push(writer.add_layer_from_directory(Path::new(&root))?);
    }
    writer.add_image("pull", &ConfigDraft::default(), &layers)?;
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed("a program cannot be started").caused_by(error))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(failed("a program fails").found(words.trim().chars().take(300).collect::<String>()))
}
