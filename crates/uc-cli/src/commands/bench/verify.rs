//! Signing and verifying beside cosign, against a registry on this machine.

use std::{path::PathBuf, process::Command};

use serde::Serialize;
use uc_image::{
    NoProgress, Reference,
    image::BlobSource as _,
    layout::{Layout as _, LayoutDirectory},
    media,
    registry::{Credentials, Registry as Client},
};
use uc_model::{Problem, Result};

use super::{
    fixture::Fixture,
    peers::{Registry, failed, is_on_path, timed},
    statistics::Summary,
};

/// Rounds of an attestation of this size, at the most: cosign takes more than a second for each.
const LARGE_ROUNDS: usize = 5;
/// Entries of the large predicate; it has seven megabytes.
const LARGE_FILES: usize = 85_000;
const PASSWORD: &str = "bench";

/// One thing that both do.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    pub(super) what: &'static str,
    pub(super) ours_ms: Summary,
    pub(super) ours_peak_mb: f64,
    pub(super) theirs_ms: Option<Summary>,
    pub(super) theirs_peak_mb: f64,
    pub(super) ratio: Option<f64>,
    pub(super) promise: Option<f64>,
}

/// What was measured of one cosign.
#[derive(Debug, Serialize)]
pub(super) struct Verify {
    pub(super) peer: String,
    pub(super) compared: Vec<Compared>,
    pub(super) skipped: Option<String>,
}

impl Verify {
    /// For people.
    pub(super) fn words(&self) -> String {
        if let Some(reason) = &self.skipped {
            return format!("Signatures: skipped: {reason}\n");
        }
        let mut table =
            crate::table::Table::new(&["", "UC MS", "MB", "COSIGN MS", "MB", "UC / IT", "PROMISE"]);
        let cell = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        for one in &self.compared {
            table.row([
                one.what.to_owned(),
                format!("{:.1} ± {:.1}", one.ours_ms.median, one.ours_ms.deviation),
                format!("{:.1}", one.ours_peak_mb),
                one.theirs_ms.map_or("-".to_owned(), |theirs| {
                    format!("{:.1} ± {:.1}", theirs.median, theirs.deviation)
                }),
                format!("{:.1}", one.theirs_peak_mb),
                cell(one.ratio),
                cell(one.promise),
            ]);
        }
        format!(
            "Signatures beside {} (measured, registry on this machine)\n{}\n",
            self.peer,
            table.text()
        )
    }
}

/// Measures in turns.
pub(super) fn verify(
    fixture: &Fixture,
    uc: &str,
    cosign: Option<&PathBuf>,
    rounds: usize,
) -> Result<Verify> {
    let peer = cosign.map_or_else(|| "cosign".to_owned(), |path| path.display().to_string());
    let mut report = Verify {
        peer: peer.clone(),
        compared: Vec::new(),
        skipped: None,
    };
    let has_peer = cosign.map_or_else(|| is_on_path("cosign"), |path| path.is_file());
    report.skipped = match (is_on_path("docker-registry"), has_peer) {
        (false, _) => Some("docker-registry is not on PATH".to_owned()),
        (_, false) => Some(format!("{peer} is not there (name one with --cosign)")),
        _ => None,
    };
    if report.skipped.is_some() {
        return Ok(report);
    }
    let registry = Registry::start(fixture)?;
    let bench = Bench {
        fixture,
        uc,
        peer: &peer,
        reference: format!("127.0.0.1:{}/bench:verify", registry.port),
        has_signing_config: knows_signing_config(&peer),
    };
    bench.prepare()?;
    report.compared = vec![
        bench.compare(
            "verify a signature",
            &bench.our_verify(),
            &bench.their_verify(),
            rounds,
            Some(0.2),
        )?,
        bench.compare(
            "verify a 7 MB attestation",
            &bench.our_attestation(),
            &bench.their_attestation(),
            rounds.min(LARGE_ROUNDS),
            Some(0.15),
        )?,
        bench.compare(
            "open a key (scrypt)",
            &bench.our_key(),
            &[],
            rounds.min(LARGE_ROUNDS),
            None,
        )?,
        bench.compare(
            "sign",
            &bench.our_sign(),
            &bench.their_sign(),
            rounds.min(LARGE_ROUNDS),
            None,
        )?,
    ];
    Ok(report)
}

fn knows_signing_config(cosign: &str) -> bool {
    let help = Command::new(cosign).args(["sign", "--help"]).output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--use-signing-config"))
}

struct Bench<'a> {
    fixture: &'a Fixture,
    uc: &'a str,
    peer: &'a str,
    reference: String,
    has_signing_config: bool,
}

impl Bench<'_> {
    fn key(&self, ending: &str) -> String {
        self.fixture.file(&format!("verify.{ending}"))
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        words
            .iter()
            .map(|&word| word.to_owned())
            .chain([self.reference.clone()])
            .collect()
    }

    fn our_verify(&self) -> Vec<String> {
        self.words(&[self.uc, "verify", "--key", &self.key("pub")])
    }

    fn our_attestation(&self) -> Vec<String> {
        self.words(&[
            self.uc,
            "verify",
            "--key",
            &self.key("pub"),
            "--attestation",
            "spdxjson",
        ])
    }

    fn our_sign(&self) -> Vec<String> {
        self.words(&[self.uc, "sign", "--key", &self.key("key")])
    }

    fn our_key(&self) -> Vec<String> {
        let mut words = self.words(&[self.uc, "key", "public", &self.key("key")]);
        words.pop();
        words
    }

    fn their_verify(&self) -> Vec<String> {
        self.words(&[
            self.peer,
            "verify",
            "--key",
            &self.key("pub"),
            "--insecure-ignore-tlog",
            "--allow-http-registry",
        ])
    }

    fn their_attestation(&self) -> Vec<String> {
        self.words(&[
            self.peer,
            "verify-attestation",
            "--type",
            "spdxjson",
            "--key",
            &self.key("pub"),
            "--insecure-ignore-tlog",
            "--allow-http-registry",
        ])
    }

    fn their_sign(&self) -> Vec<String> {
        let key = self.key("key");
        let mut words = vec![
            self.peer,
            "sign",
            "--yes",
            "--key",
            &key,
            "--tlog-upload=false",
            "--allow-http-registry",
        ];
        if self.has_signing_config {
            words.push("--use-signing-config=false");
        }
        self.words(&words)
    }

    /// An image in the registry, signed and attested by us in both forms.
    fn prepare(&self) -> Result<()> {
        self.fixture
            .containers(std::path::Path::new("/bin/busybox"))?;
        push(self.fixture, &self.reference)?;
        let file = r#"{"SPDXID":"SPDXRef-File-bin-busybox","fileName":"bin/busybox","fileTypes":["BINARY"]}"#;
        let predicate = self.fixture.file("large.spdx.json");
        let text = format!(
            "{{\"spdxVersion\":\"SPDX-2.3\",\"files\":[{}]}}",
            vec![file; LARGE_FILES].join(",")
        );
        std::fs::write(&predicate, text)
            .map_err(|error| failed("cannot write a predicate").caused_by(error))?;
        let name = self.fixture.file("verify");
        let generate = [self.uc, "key", "generate", "--output", &name].map(str::to_owned);
        self.run(&generate)?;
        self.run(&self.our_sign())?;
        let attest = [
            self.uc,
            "attest",
            "--key",
            &self.key("key"),
            "--type",
            "spdxjson",
            "--predicate",
            &predicate,
        ];
        self.run(&self.words(&attest)).map(drop)
    }

    fn run(&self, words: &[String]) -> Result<(f64, f64)> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(Problem::internal("an empty command"));
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(self.fixture.environment())
            .env("UC_KEY_PASSWORD", PASSWORD)
            .env("COSIGN_PASSWORD", PASSWORD);
        timed(&mut command).map_err(|problem| problem.at(words.join(" ")))
    }

    fn compare(
        &self,
        what: &'static str,
        ours: &[String],
        theirs: &[String],
        rounds: usize,
        promise: Option<f64>,
    ) -> Result<Compared> {
        let (mut our_ms, mut their_ms) = (Vec::new(), Vec::new());
        let (mut our_peak, mut their_peak) = (0.0_f64, 0.0_f64);
        // One that does not count, to fill caches.
        for round in 0..=rounds {
            for (words, times, peak) in [
                (ours, &mut our_ms, &mut our_peak),
                (theirs, &mut their_ms, &mut their_peak),
            ] {
                if words.is_empty() {
                    continue;
                }
                let (elapsed, memory) = self.run(words)?;
                if round > 0 {
                    times.push(elapsed);
                    *peak = peak.max(memory);
                }
            }
        }
        let ours_ms =
            Summary::of(&our_ms).ok_or_else(|| Problem::internal("nothing was measured"))?;
        let theirs_ms = Summary::of(&their_ms);
        Ok(Compared {
            what,
            ours_ms,
            ours_peak_mb: our_peak,
            theirs_ms,
            theirs_peak_mb: their_peak,
            ratio: theirs_ms.map(|theirs| ours_ms.median / theirs.median),
            promise,
        })
    }
}

/// Puts the fixture's image into the registry.
fn push(fixture: &Fixture, reference: &str) -> Result<()> {
    let layout = LayoutDirectory::open(std::path::Path::new(&fixture.file("layout")))?;
    let named = layout
        .index()?
        .manifests
        .into_iter()
        .next()
        .ok_or_else(|| Problem::internal("an empty layout"))?;
    let manifest = layout.read(&named, uc_image::bounds::MANIFEST_BYTES)?;
    let parts = uc_image::spec::parse_manifest(&manifest)?;
    let reference: Reference = reference.parse()?;
    let credentials = Credentials::none();
    let client = Client::new(&reference, &credentials, &NoProgress);
    for part in parts.layers.iter().chain([&parts.config]) {
        client.push_blob_from(part, &layout)?;
    }
    client
        .push_manifest(reference.manifest_name(), media::OCI_MANIFEST, &manifest)
        .map(drop)
}
