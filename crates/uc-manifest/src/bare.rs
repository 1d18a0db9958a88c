//! A workload without a file: an image or a module named on the command line.

use std::{collections::BTreeMap, time::Duration};

use uc_model::{
    Isolation, Result, RuntimeChoice,
    workload::{
        Container, ImageSource, Network, Origin, Resources, RestartPolicy, Security, Workload,
    },
};

use crate::{image::default_pull_policy, name::check_label};

/// A workload of one container that runs an image or module once, with the caller's standard input.
///
/// `args` replace the image's arguments unless they are empty.
///
/// # Errors
/// [`uc_model::ProblemKind::Invalid`] when `name` is not an RFC 1123 label.
pub fn workload_for_image(
    name: &str,
    image: ImageSource,
    args: Vec<String>,
    runtime: RuntimeChoice,
) -> Result<Workload> {
    check_label(name).map_err(|problem| problem.at("name"))?;
    let container = Container {
        name: "main".into(),
        pull_policy: default_pull_policy(&image),
        image,
        command: None,
        args: Some(args).filter(|args| !args.is_empty()),
        env: Vec::new(),
        working_dir: None,
        resources: Resources::default(),
        security: Security::default(),
        mounts: Vec::new(),
        ports: Vec::new(),
        startup_probe: None,
        readiness_probe: None,
        liveness_probe: None,
        stdin: true,
    };
    Ok(Workload {
        origin: Origin::CommandLine,
        name: name.to_owned(),
        namespace: "default".into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        runtime,
        isolation: Isolation::default(),
        network: Network::None,
        hostname: name.to_owned(),
        init_containers: Vec::new(),
        containers: vec![container],
        volumes: Vec::new(),
        fs_group: None,
        restart_policy: Some(RestartPolicy::Never),
        active_deadline: None,
        termination_grace: Duration::from_secs(30),
        ignore_unenforceable_limits: false,
        refuse_red_line_warnings: false,
    })
}
