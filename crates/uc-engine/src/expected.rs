//! What a sandbox is told beforehand of its containers.

use uc_model::{RuntimeKind, workload::Workload};
use uc_sandbox::{ExpectedContainer, HttpGrant, Limits, Payload};

use crate::{
    decide::all_containers,
    resolve::{Content, ResolvedContainer},
};

/// The containers that a sandbox of a kind will have.
pub(crate) fn expected(
    kind: RuntimeKind,
    workload: &Workload,
    contents: &[ResolvedContainer],
    runtimes: &[RuntimeKind],
) -> Vec<ExpectedContainer> {
    let init_count = workload.init_containers.len();
    all_containers(workload)
        .zip(contents)
        .zip(runtimes)
        .enumerate()
        .filter(|(_, (_, runtime))| **runtime == kind)
        .map(|(index, ((container, content), _))| ExpectedContainer {
            container: container.name.clone(),
            payload: match &content.content {
                Content::Wasm { file, .. } => Payload::Wasm {
                    file: file.clone(),
                    http: HttpGrant::None,
                    act_as: None,
                    port: None,
                },
                Content::Rootfs { layers } => Payload::Rootfs {
                    layers: layers.clone(),
                },
            },
            limits: Limits {
                memory: container.resources.memory_limit,
                cpu: container.resources.cpu_limit,
                cpu_weight: container.resources.cpu_request,
                ..Limits::default()
            },
            is_init: index < init_count,
        })
        .collect()
}
