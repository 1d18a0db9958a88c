//! A Pod to a [`Workload`].

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use uc_model::{
    Problem, Result,
    workload::{Container, Network, Origin, Resources, RestartPolicy, Volume, Workload},
};

use crate::{
    annotation::{self, Wishes},
    container,
    data::{DataSets, identity},
    downward::Facts,
    name::check_label,
    resources,
    runtime_class::RuntimeClasses,
    scope::Scope,
    view::View,
    volume,
};

/// Kubernetes' default grace period, in seconds.
const DEFAULT_GRACE_S: u32 = 30;

/// Reads a checked Pod document.
pub(crate) fn read(pod: &View<'_>, classes: &RuntimeClasses, data: &DataSets) -> Result<Workload> {
    let (namespace, name) = identity(pod)?;
    let (Some(metadata), Some(spec)) = (pod.object("metadata"), pod.object("spec")) else {
        return Err(pod.blame("spec", Problem::invalid("the field is required")));
    };
    check_label(&name).map_err(|problem| metadata.blame("name", problem))?;
    let labels = text_map(&metadata, "labels");
    let annotations = text_map(&metadata, "annotations");
    let wishes = annotation::read(&metadata, &annotations)?;
    check_placement(&spec)?;
    let facts = Facts {
        name: &name,
        namespace: &namespace,
        labels: &labels,
        annotations: &annotations,
        resources: resources_of_all(&spec, &wishes)?,
    };
    let volumes = volumes(&spec, &facts, data, &wishes)?;
    let network = network(&spec, &wishes)?;
    let (init_containers, containers) = containers(&spec, &facts, data, &volumes, network)?;
    let workload = Workload {
        origin: Origin::Manifest {
            file: pod.context.file.to_owned(),
        },
        runtime: classes.choice(&spec)?,
        isolation: wishes.isolation,
        network,
        hostname: hostname(&spec, &name)?,
        init_containers,
        containers,
        volumes,
        fs_group: crate::security::fs_group(spec.object("securityContext").as_ref())?,
        restart_policy: restart_policy(&spec)?,
        active_deadline: seconds(&spec, "activeDeadlineSeconds", 1)?,
        termination_grace: seconds(&spec, "terminationGracePeriodSeconds", 0)?
            .unwrap_or(Duration::from_secs(u64::from(DEFAULT_GRACE_S))),
        ignore_unenforceable_limits: wishes.ignore_unenforceable,
        refuse_red_line_warnings: wishes.refuse_red_line_warnings,
        name,
        namespace,
        labels,
        annotations,
    };
    check_host_ports(&spec, &workload)?;
    Ok(workload)
}

fn text_map(view: &View<'_>, field: &str) -> BTreeMap<String, String> {
    view.map(field)
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Fields that need more than their table to be judged.
fn check_placement(spec: &View<'_>) -> Result<()> {
    if let Some(os) = spec.object("os") {
        os.required("name")?;
    }
    if spec
        .text("dnsPolicy")
        .is_some_and(|policy| policy != "Default")
    {
        spec.note(
            "dnsPolicy",
            "has no effect: there is no cluster DNS; the host's resolver is used",
        );
    }
    for field in ["serviceAccountName", "serviceAccount"] {
        if spec.text(field).is_none_or(str::is_empty) {
            continue;
        }
        if spec.boolean("automountServiceAccountToken") != Some(false) {
            return Err(spec.refuse(
                field,
                "there is no API server whose token could be mounted",
                "remove it, or set spec.automountServiceAccountToken: false",
            ));
        }
        spec.note(field, "has no effect: no token is mounted");
    }
    Ok(())
}

fn resources_of_all(spec: &View<'_>, wishes: &Wishes) -> Result<BTreeMap<String, Resources>> {
    let mut all = BTreeMap::new();
    for field in ["initContainers", "containers"] {
        for view in spec.objects(field) {
            let name = container::name(&view)?;
            let resources = resources::read(view.object("resources").as_ref(), wishes.pids_limit)?;
            if all.insert(name.to_owned(), resources).is_some() {
                let problem = Problem::invalid("two containers have the same name").found(name);
                return Err(view.blame("name", problem));
            }
        }
    }
    if spec.items("containers").is_empty() {
        let problem = Problem::invalid("a Pod needs at least one container");
        return Err(spec.blame("containers", problem));
    }
    Ok(all)
}

fn volumes(
    spec: &View<'_>,
    facts: &Facts<'_>,
    data: &DataSets,
    wishes: &Wishes,
) -> Result<Vec<Volume>> {
    let mut names = HashSet::new();
    let mut volumes = Vec::new();
    for view in spec.objects("volumes") {
        let volume = volume::read(&view, facts, data, wishes.ignore_unenforceable)?;
        if !names.insert(volume.name.clone()) {
            let problem = Problem::invalid("two volumes have the same name").found(&volume.name);
            return Err(view.blame("name", problem));
        }
        volumes.push(volume);
    }
    Ok(volumes)
}

/// The network: what `hostNetwork` and the annotation say, or what forwarded ports need.
fn network(spec: &View<'_>, wishes: &Wishes) -> Result<Network> {
    let key = annotation::network_key();
    let contradiction = |found: Network| {
        let problem = Problem::invalid(format!("it contradicts the annotation {key}"))
            .found(format!("{key}: {found}"))
            .remedy("remove one of the two");
        spec.blame("hostNetwork", problem)
    };
    match (spec.boolean("hostNetwork"), wishes.network) {
        (Some(true), None | Some(Network::Host)) => return Ok(Network::Host),
        (Some(true), Some(other)) => return Err(contradiction(other)),
        (Some(false), Some(Network::Host)) => return Err(contradiction(Network::Host)),
        _ => {}
    }
    let forwarded = first_host_port(spec);
    match (wishes.network, forwarded) {
        (None, Some(_)) => Ok(Network::User),
        (Some(network @ (Network::None | Network::Http)), Some(port)) => {
            let problem = Problem::invalid("a hostPort needs a network of its own")
                .limit(format!("{key}: user or host"))
                .found(format!("{key}: {network}"))
                .remedy("remove the annotation or the hostPort");
            Err(port.blame("hostPort", problem))
        }
        (network, _) => Ok(network.unwrap_or_default()),
    }
}

fn first_host_port<'a>(spec: &View<'a>) -> Option<View<'a>> {
    ["initContainers", "containers"]
        .into_iter()
        .flat_map(|field| spec.objects(field))
        .flat_map(|container| container.objects("ports"))
        .find(|port| port.text("hostPort").is_some_and(|text| text != "0"))
}

fn containers(
    spec: &View<'_>,
    facts: &Facts<'_>,
    data: &DataSets,
    volumes: &[Volume],
    network: Network,
) -> Result<(Vec<Container>, Vec<Container>)> {
    let by_name = volumes
        .iter()
        .map(|volume| (volume.name.as_str(), &volume.source))
        .collect();
    let security = spec.object("securityContext");
    let scope = Scope {
        facts,
        data,
        volumes: &by_name,
        security: security.as_ref(),
        network,
    };
    let read_all = |field: &str| -> Result<Vec<Container>> {
        spec.objects(field)
            .iter()
            .map(|view| {
                if field == "initContainers" {
                    container::check_init(view)?;
                }
                let name = container::name(view)?;
                let resources = facts.resources.get(name).copied().unwrap_or_default();
                container::read(view, &scope, resources)
            })
            .collect()
    };
    Ok((read_all("initContainers")?, read_all("containers")?))
}

fn hostname(spec: &View<'_>, name: &str) -> Result<String> {
    let Some(hostname) = spec.text("hostname").filter(|text| !text.is_empty()) else {
        return Ok(name.to_owned());
    };
    check_label(hostname).map_err(|problem| spec.blame("hostname", problem))?;
    Ok(hostname.to_owned())
}

fn restart_policy(spec: &View<'_>) -> Result<Option<RestartPolicy>> {
    spec.choice(
        "restartPolicy",
        &[
            ("Always", RestartPolicy::Always),
            ("OnFailure", RestartPolicy::OnFailure),
            ("Never", RestartPolicy::Never),
        ],
    )
}

fn seconds(spec: &View<'_>, field: &str, least: u32) -> Result<Option<Duration>> {
    let count = spec.unsigned(field, least..=i32::MAX as u32)?;
    Ok(count.map(|count| Duration::from_secs(u64::from(count))))
}

/// No two containers may forward the same port of the host.
fn check_host_ports(spec: &View<'_>, workload: &Workload) -> Result<()> {
    let mut taken = HashSet::new();
    let all = workload.init_containers.iter().chain(&workload.containers);
    for port in all.flat_map(|container| &container.ports) {
        let Some(host_port) = port.host_port else {
            continue;
        };
        if !taken.insert((host_port, port.host_ip, port.protocol as u8)) {
            let problem = Problem::invalid("two containers forward the same port of the host");
            return Err(spec.blame("containers", problem.found(host_port)));
        }
    }
    Ok(())
}
