//! RuntimeClass documents, and the names by which handlers are known elsewhere.

use std::collections::BTreeMap;

use uc_model::{Problem, Result, RuntimeChoice, RuntimeKind};

use crate::{check::nearest, data::identity, view::View};

/// Handlers of other installations whose kind is beyond doubt.
const ALIASES: &[(&str, RuntimeKind)] = &[
    ("crun", RuntimeKind::Container),
    ("runc", RuntimeKind::Container),
    ("youki", RuntimeKind::Container),
    ("runsc", RuntimeKind::Gvisor),
    ("firecracker", RuntimeKind::Microvm),
    ("kata", RuntimeKind::Microvm),
    ("kata-clh", RuntimeKind::Microvm),
    ("kata-fc", RuntimeKind::Microvm),
    ("kata-qemu", RuntimeKind::Microvm),
    ("spin", RuntimeKind::Wasm),
    ("wasmedge", RuntimeKind::Wasm),
    ("wasmtime", RuntimeKind::Wasm),
];

/// The RuntimeClasses of a file, by name.
#[derive(Default)]
pub(crate) struct RuntimeClasses(BTreeMap<String, RuntimeChoice>);

impl RuntimeClasses {
    /// Adds a document.
    pub(crate) fn add(&mut self, view: &View<'_>) -> Result<()> {
        let (_, name) = identity(view)?;
        let choice = handler(view)?;
        if self.0.insert(name.clone(), choice).is_some() {
            let problem = Problem::invalid("a second RuntimeClass of this name").found(name);
            return Err(view.blame("metadata", problem));
        }
        Ok(())
    }

    /// The runtime that a Pod's spec asks for.
    pub(crate) fn choice(&self, spec: &View<'_>) -> Result<RuntimeChoice> {
        let Some(name) = spec
            .text("runtimeClassName")
            .filter(|name| !name.is_empty())
        else {
            return Ok(RuntimeChoice::Auto);
        };
        if let Some(choice) = self.0.get(name) {
            return Ok(*choice);
        }
        name.parse().map_err(|_: Problem| {
            let classes: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let known = if classes.is_empty() {
                "the file has no RuntimeClass".to_owned()
            } else {
                format!("the file's RuntimeClasses are {}", classes.join(", "))
            };
            let problem = Problem::invalid("no such RuntimeClass")
                .limit(format!("a RuntimeClass of the file, auto, wasm, container, gvisor, microvm or fused; {known}"))
                .found(name)
                .remedy("add a RuntimeClass document whose handler is one of the runtimes");
            spec.blame("runtimeClassName", problem)
        })
    }
}

fn handler(view: &View<'_>) -> Result<RuntimeChoice> {
    let text = view.required("handler")?;
    if let Some((alias, kind)) = ALIASES.iter().find(|(alias, _)| *alias == text) {
        view.note("handler", &format!("{alias} is read as {kind}"));
        return Ok(RuntimeChoice::Fixed(*kind));
    }
    text.parse().map_err(|problem: Problem| {
        let names = RuntimeKind::ALL.into_iter().map(RuntimeKind::name);
        let aliases = ALIASES.iter().map(|(alias, _)| *alias);
        let problem = match nearest(text, names.chain(aliases).chain(["auto"])) {
            Some(name) => problem.remedy(format!("did you mean {name}?")),
            None => problem.remedy("use auto to let uc choose"),
        };
        view.blame("handler", problem)
    })
}
