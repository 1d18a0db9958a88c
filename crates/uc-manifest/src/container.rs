//! A container of a Pod.

use uc_model::{
    Problem, Result,
    workload::{Container, PullPolicy, Resources},
};

use crate::{
    env::Environment,
    image::{default_pull_policy, parse_image},
    mount,
    name::{check_label, shortened},
    port, probe,
    scope::Scope,
    security,
    view::View,
};

/// The name of a container, checked.
pub(crate) fn name<'a>(view: &View<'a>) -> Result<&'a str> {
    let name = view.required("name")?;
    check_label(name).map_err(|problem| view.blame("name", problem))?;
    Ok(name)
}

/// Reads a container whose resources are known.
pub(crate) fn read(view: &View<'_>, scope: &Scope<'_>, resources: Resources) -> Result<Container> {
    let name = name(view)?;
    let image = parse_image(view.required("image")?, view.context.base)
        .map_err(|problem| view.blame("image", problem))?;
    let policies = [
        ("Always", PullPolicy::Always),
        ("IfNotPresent", PullPolicy::IfNotPresent),
        ("Never", PullPolicy::Never),
    ];
    let pull_policy = view
        .choice("imagePullPolicy", &policies)?
        .unwrap_or_else(|| default_pull_policy(&image));
    let environment = Environment::read(view, scope, name)?;
    let ports = port::read(view, scope.network)?;
    Ok(Container {
        name: name.to_owned(),
        image,
        pull_policy,
        command: words(view, "command", &environment)?,
        args: words(view, "args", &environment)?,
        working_dir: working_dir(view)?,
        resources,
        security: security::merge(scope.security, view.object("securityContext").as_ref())?,
        mounts: mount::read(view, scope, &environment)?,
        startup_probe: probe::read(view, "startupProbe", &ports)?,
        readiness_probe: probe::read(view, "readinessProbe", &ports)?,
        liveness_probe: probe::read(view, "livenessProbe", &ports)?,
        ports,
        env: environment.into_vars(),
        stdin: view.boolean("stdin").unwrap_or_default(),
    })
}

/// Refuses what Kubernetes forbids for init containers.
pub(crate) fn check_init(view: &View<'_>) -> Result<()> {
    for field in ["startupProbe", "readinessProbe", "livenessProbe"] {
        if view.has(field) {
            let problem = Problem::invalid("an init container has no probes")
                .remedy("remove it, or move the container to spec.containers");
            return Err(view.blame(field, problem));
        }
    }
    Ok(())
}

/// `command` or `args`; an empty list is as good as none.
fn words(view: &View<'_>, field: &str, environment: &Environment) -> Result<Option<Vec<String>>> {
    let words = view.texts(field).filter(|words| !words.is_empty());
    words
        .map(|words| {
            words
                .into_iter()
                .map(|word| environment.expand(word, view, field))
                .collect()
        })
        .transpose()
}

fn working_dir(view: &View<'_>) -> Result<Option<String>> {
    let Some(path) = view.text("workingDir").filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    if !path.starts_with('/') || path.contains('\0') || path.len() > 4096 {
        let problem = Problem::invalid("not a working directory")
            .limit("an absolute path of at most 4096 characters")
            .found(shortened(path));
        return Err(view.blame("workingDir", problem));
    }
    Ok(Some(path.to_owned()))
}
