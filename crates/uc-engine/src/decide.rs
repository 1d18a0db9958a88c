//! Checks before a start, and the choice of a runtime for each container.

use std::net::SocketAddr;

use serde::Serialize;
use uc_model::{
    Digest, Problem, Result, RuntimeChoice, RuntimeKind,
    workload::{Container, Network, ProbeAction, Workload},
};
use uc_redline::{Facts, Verdict};
use uc_sandbox::{Availability, Limit, Probe};
use uc_select::{Candidate, Decision, LimitKind, Needs, Unavailable};

use crate::{
    Engine, handlers, models,
    resolve::{Content, Resolved, ResolvedContainer},
};

/// What was chosen for one container, and why.
#[derive(Debug, Serialize)]
pub struct ContainerChoice {
    /// The container.
    pub container: String,
    /// What it consists of.
    pub image: String,
    /// The digest of the image's manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The address of this host at which it answers HTTP requests, if it is a component that does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers_at: Option<SocketAddr>,
    /// The red lines that were looked at.
    pub red_lines: Vec<Verdict>,
    /// The choice with its reasons.
    pub decision: Decision,
}

impl ContainerChoice {
    /// Refuses where a red line is crossed.
    ///
    /// # Errors
    /// Refused, with the red line and the remedy.
    pub fn red_lines_pass(&self) -> Result<()> {
        uc_redline::require(&self.red_lines)
            .map_err(|problem| problem.within(format!("container {}", self.container)))
    }

    /// The runtime; a refusal where a red line is crossed or nothing is able.
    ///
    /// # Errors
    /// Refused, with reasons and remedies.
    pub fn runtime(&self) -> Result<RuntimeKind> {
        self.red_lines_pass()?;
        self.decision
            .require()
            .map_err(|problem| problem.within(format!("container {}", self.container)))
    }
}

impl Engine {
    /// Judges the red lines and chooses a runtime for each container, without starting anything. Drivers are tried
    /// anew if `fresh`, else what they offered since the host started counts, and a workload that asks for one of them
    /// does not wait for the others.
    pub fn choose(&self, resolved: &Resolved, fresh: bool) -> Vec<ContainerChoice> {
        match resolved.workload.runtime {
            _ if fresh => choose(resolved, &self.probe_all()),
            RuntimeChoice::Auto => choose(resolved, &self.remembered_probes()),
            RuntimeChoice::Fixed(asked) => {
                let probe = self.remembered_probe(asked);
                let candidates = RuntimeKind::ALL.map(|kind| match kind == asked {
                    true => candidate_of(kind, probe.as_ref()),
                    false => Candidate::not_tried(kind),
                });
                among(resolved, &candidates)
            }
        }
    }
}

/// The choice for each container, given what the drivers offer.
pub fn choose(resolved: &Resolved, probes: &[Probe]) -> Vec<ContainerChoice> {
    let candidates = RuntimeKind::ALL.map(|kind| {
        let probe = probes.iter().find(|probe| probe.kind == kind);
        candidate_of(kind, probe)
    });
    among(resolved, &candidates)
}

fn candidate_of(kind: RuntimeKind, probe: Option<&Probe>) -> Candidate {
    probe.map_or_else(|| Candidate::without_driver(kind), candidate)
}

fn among(resolved: &Resolved, candidates: &[Candidate]) -> Vec<ContainerChoice> {
    let containers = || all_containers(&resolved.workload).zip(&resolved.containers);
    // Whoever reaches nothing misses no loopback.
    let meet = resolved.workload.containers.len() > 1
        && containers().any(|(container, content)| !handlers::only_answers(container, content));
    containers()
        .map(|(container, content)| {
            let needs = Needs {
                shared_loopback: meet,
                ..needs(&resolved.workload, container, content)
            };
            let decision = uc_select::choose(&needs, candidates);
            let facts = facts(
                &resolved.workload,
                container,
                content,
                decision.winner.as_ref().map(|winner| winner.kind),
            );
            ContainerChoice {
                container: container.name.clone(),
                image: container.image.to_string(),
                digest: content.digest.clone(),
                answers_at: handlers::address(&resolved.workload, container, content),
                red_lines: uc_redline::judge(&facts),
                decision,
            }
        })
        .collect()
}

/// Init containers, then containers: the order of [`Resolved::containers`].
pub(crate) fn all_containers(workload: &Workload) -> impl Iterator<Item = &Container> {
    workload.init_containers.iter().chain(&workload.containers)
}

fn facts(
    workload: &Workload,
    container: &Container,
    content: &ResolvedContainer,
    runtime: Option<RuntimeKind>,
) -> Facts {
    let in_microvm = matches!(runtime, Some(RuntimeKind::Microvm | RuntimeKind::Fused));
    let mut facts = Facts {
        runtime,
        image_bytes: content.image_bytes,
        refuse_warnings: workload.refuse_red_line_warnings,
        model: match &content.content {
            // Only there does it decide anything, and finding it takes a walk through the image.
            Content::Rootfs { layers } if in_microvm => models::largest(layers),
            _ => None,
        },
        subject: container.image.to_string(),
        network: workload.network,
        memory_limit_bytes: container.resources.memory_limit.map(|limit| limit.0),
        ..Facts::default()
    };
    if let Content::Wasm { facts: wasm, .. } = &content.content {
        facts.imports = wasm.imports.clone();
        if wasm.handles_http() {
            // By these types it is asked; to ask others takes another import. `handlers` judges its network.
            let types = |name: &str| name.starts_with("wasi:http/types@");
            facts.imports.retain(|name| !types(name));
        }
        facts.package_bytes = Some(wasm.package_bytes);
        facts.memory_minimum_bytes = Some(wasm.memory_min_bytes);
    }
    facts
}

fn needs(workload: &Workload, container: &Container, content: &ResolvedContainer) -> Needs {
    let probes = [
        &container.startup_probe,
        &container.readiness_probe,
        &container.liveness_probe,
    ];
    let is_exec =
        |probe: &uc_model::workload::Probe| matches!(probe.action, ProbeAction::Exec { .. });
    Needs {
        formats: [content.content.format()].into(),
        network: workload.network,
        only_answers: handlers::only_answers(container, content),
        memory_limit: container.resources.memory_limit,
        cpu_limit: container.resources.cpu_limit,
        pids_limit: container.resources.pids_limit,
        ignore_unenforceable_limits: workload.ignore_unenforceable_limits,
        isolation: workload.isolation,
        runtime: workload.runtime,
        exec_probes: probes.into_iter().flatten().any(is_exec),
        footprint: content.footprint.clone(),
        ..Needs::default()
    }
}

fn candidate(probe: &Probe) -> Candidate {
    let unavailable = match &probe.availability {
        Availability::Ready => None,
        Availability::Missing { what, remedy } => Some(Unavailable {
            what: what.clone(),
            remedy: remedy.clone(),
        }),
    };
    let offer = &probe.offer;
    Candidate {
        kind: probe.kind,
        unavailable,
        formats: offer.formats.clone(),
        networks: offer.networks.clone(),
        limits: offer
            .limits
            .iter()
            .map(|limit| limit_kind(*limit))
            .collect(),
        isolation: offer.isolation,
        isolation_bits: offer.isolation_bits.clone(),
        shared_loopback: offer.shared_loopback,
        serves_handlers: offer.serves_handlers,
        exec: offer.exec,
        gpu: false,
        start_ms: offer.start_ms.clone(),
        overhead_mib: offer.overhead_mib.clone(),
    }
}

fn limit_kind(limit: Limit) -> LimitKind {
    match limit {
        Limit::Memory => LimitKind::Memory,
        Limit::Cpu => LimitKind::Cpu,
        Limit::Pids => LimitKind::Pids,
    }
}

/// What cannot be known to fail before a driver is asked, but is known to make no sense.
pub(crate) fn check_together(resolved: &Resolved, kinds: &[RuntimeKind]) -> Result<()> {
    let workload = &resolved.workload;
    handlers::check(workload, &resolved.containers)?;
    let wasm = kinds.contains(&RuntimeKind::Wasm);
    if wasm
        && kinds.iter().any(|kind| *kind != RuntimeKind::Wasm)
        && workload.network == Network::Http
    {
        return Err(Problem::refused(
            "network: http is for WebAssembly programs only, and not all containers are",
        )
        .at("metadata.annotations[undercurrent.dev/network]")
        .remedy("put the WebAssembly program into a Pod of its own"));
    }
    Ok(())
}
