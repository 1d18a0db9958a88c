//! Before a workload runs: is everything it consists of signed by those who must have signed it?

use serde::Serialize;
use uc_image::{
    NoProgress,
    layout::{LayoutArchive, LayoutDirectory},
    media,
    registry::{Credentials, Registry},
};
use uc_model::{
    Digest, Problem, ProblemKind, Result,
    workload::{Container, ImageSource},
};

use super::{Artifact, Shelf, Trust, verdicts, verify};
use crate::{Engine, Resolved, ResolvedContainer, decide::all_containers};

/// The answer for one container.
#[derive(Debug, Clone, Serialize)]
pub struct Admission {
    /// The container.
    pub container: String,
    /// Who signed what it consists of, where that was asked.
    pub signers: Vec<String>,
    /// The verdict in one sentence.
    pub summary: String,
    /// Whether it was known from an earlier start.
    pub remembered: bool,
}

impl Engine {
    /// Judges what each container consists of, at a time in Unix seconds. A policy speaks of repositories only, so with one
    /// it has nothing to say of layouts and files on this machine; keys that are named must have signed those, too.
    ///
    /// # Errors
    /// Refused where something is not signed as it must be, or is a file, which cannot carry signatures; unavailable where
    /// the registry does not answer.
    pub fn admit(&self, resolved: &Resolved, trust: &Trust, now: i64) -> Result<Vec<Admission>> {
        all_containers(&resolved.workload)
            .zip(&resolved.containers)
            .map(|(container, content)| {
                self.admit_container(container, content, trust, now)
                    .map_err(|problem| {
                        refusal(problem).within(format!("container {}", container.name))
                    })
            })
            .collect()
    }

    fn admit_container(
        &self,
        container: &Container,
        content: &ResolvedContainer,
        trust: &Trust,
        now: i64,
    ) -> Result<Admission> {
        let local = !matches!(container.image, ImageSource::Registry { .. });
        if local && matches!(trust, Trust::Policy(_)) {
            return Ok(Admission {
                container: container.name.clone(),
                signers: Vec::new(),
                summary: "not judged: the trust policy speaks of repositories, and this lies on this machine".into(),
                remembered: false,
            });
        }
        let (Some(digest), Some(named)) = (&content.digest, &content.named_digest) else {
            return Err(Problem::unsigned("a file cannot carry a signature")
                .at(&container.image)
                .remedy(
                    "push it as an artifact (uc image push) and sign that, or leave --trust out",
                ));
        };
        let artifact = |repository: String| Artifact {
            repository,
            digest: digest.clone(),
            media_type: media::OCI_MANIFEST.to_owned(),
            size: 0,
            listed_in: (named != digest).then(|| named.clone()),
            lists: Vec::new(),
        };
        match &container.image {
            ImageSource::Registry { reference } => {
                let reference: uc_image::Reference = reference.parse()?;
                let repository = format!("{}/{}", reference.host(), reference.repository());
                let credentials = Credentials::from_environment();
                let registry = Registry::new(&reference, &credentials, &NoProgress);
                self.judge(container, &registry, &artifact(repository), trust, now)
            }
            ImageSource::OciLayout { directory, .. } => {
                let layout = LayoutDirectory::open(directory)?;
                let name = directory.display().to_string();
                self.judge(container, &layout, &artifact(name), trust, now)
            }
            ImageSource::OciArchive { file, .. } => {
                let archive = LayoutArchive::open(file)?;
                let name = file.display().to_string();
                self.judge(container, &archive, &artifact(name), trust, now)
            }
            ImageSource::WasmFile { .. } => {
                Err(Problem::internal("a file with a digest of a manifest"))
            }
        }
    }

    fn judge(
        &self,
        container: &Container,
        shelf: &dyn Shelf,
        artifact: &Artifact,
        trust: &Trust,
        now: i64,
    ) -> Result<Admission> {
        let directory = self.home().verdicts();
        let name = verdicts::name(artifact, &trust.digest());
        let (kept, remembered) = match verdicts::find(&directory, &name, now) {
            Some(kept) => (kept, true),
            None => {
                let (requirement, until) = trust.requirement(&artifact.repository, now)?;
                let verdict = verify(shelf, artifact, &requirement)?;
                if let Some(problem) = verdict.problem() {
                    return Err(problem.within(&artifact.repository));
                }
                let kept = verdicts::Kept {
                    summary: verdict.summary(),
                    signers: verdict.signers,
                    until,
                };
                verdicts::keep(&directory, &name, &kept);
                (kept, false)
            }
        };
        Ok(Admission {
            container: container.name.clone(),
            signers: kept.signers,
            summary: kept.summary,
            remembered,
        })
    }
}

/// What is an answer to `uc verify` is a refusal to run.
fn refusal(problem: Problem) -> Problem {
    match problem.kind() {
        ProblemKind::Unsigned | ProblemKind::Untrusted | ProblemKind::Invalid => {
            problem.with_kind(ProblemKind::Refused)
        }
        _ => problem,
    }
}

/// The digests that were judged, to be compared where a workload is resolved again.
pub fn judged(resolved: &Resolved) -> Vec<Option<Digest>> {
    resolved
        .containers
        .iter()
        .map(|content| content.digest.clone())
        .collect()
}
