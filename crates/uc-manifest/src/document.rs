//! The documents of a file: which kinds there are, and in which order they are read.

use std::collections::HashSet;

use uc_model::{Problem, Result, workload::Workload};

use crate::{
    check::{check_object, nearest},
    context::Context,
    data::{DataKind, DataSets},
    name::shortened,
    pod,
    runtime_class::RuntimeClasses,
    schema::{Object, document},
    view::View,
    yaml::Node,
};

/// A kind of document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pod,
    RuntimeClass,
    ConfigMap,
    Secret,
    List,
}

impl Kind {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Pod, "Pod", "v1"),
        (Self::RuntimeClass, "RuntimeClass", "node.k8s.io/v1"),
        (Self::ConfigMap, "ConfigMap", "v1"),
        (Self::Secret, "Secret", "v1"),
        (Self::List, "List", "v1"),
    ];

    fn object(self) -> &'static Object {
        match self {
            Self::Pod => &document::POD,
            Self::RuntimeClass => &document::RUNTIME_CLASS,
            Self::ConfigMap => &document::CONFIG_MAP,
            Self::Secret => &document::SECRET,
            Self::List => &document::LIST,
        }
    }
}

/// Reads all documents: first those that Pods refer to, then the Pods in the order of the file.
pub(crate) fn read<'a>(context: &'a Context<'a>, nodes: &'a [Node]) -> Result<Vec<Workload>> {
    let mut documents = Vec::new();
    for node in nodes.iter().filter(|node| !node.is_null()) {
        collect(context, node, String::new(), &mut documents)?;
    }
    let mut classes = RuntimeClasses::default();
    let mut data = DataSets::default();
    for (kind, view) in &documents {
        match kind {
            Kind::RuntimeClass => classes.add(view)?,
            Kind::ConfigMap => data.add(DataKind::ConfigMap, view)?,
            Kind::Secret => data.add(DataKind::Secret, view)?,
            Kind::Pod | Kind::List => {}
        }
    }
    let mut names = HashSet::new();
    let mut workloads = Vec::new();
    for (_, view) in documents.iter().filter(|(kind, _)| *kind == Kind::Pod) {
        let workload = pod::read(view, &classes, &data)?;
        if !names.insert(workload.name.clone()) {
            let problem = Problem::invalid("two Pods of the file have the same name");
            return Err(view.blame("metadata", problem.found(&workload.name)));
        }
        workloads.push(workload);
    }
    if workloads.is_empty() {
        return Err(Problem::invalid("the file holds no Pod")
            .at(context.file)
            .remedy("add a document with apiVersion: v1 and kind: Pod"));
    }
    Ok(workloads)
}

/// Checks a document and adds it, or what it lists.
fn collect<'a>(
    context: &'a Context<'a>,
    node: &'a Node,
    path: String,
    documents: &mut Vec<(Kind, View<'a>)>,
) -> Result<()> {
    let kind = kind_of(context, node, &path)?;
    check_object(context, node, kind.object(), &path)?;
    let view = View::new(context, node, kind.object(), path);
    if kind != Kind::List {
        documents.push((kind, view));
        return Ok(());
    }
    for (index, item) in view.items("items").iter().enumerate() {
        let path = format!("{}[{index}]", view.path_of("items"));
        collect(context, item, path, documents)?;
    }
    Ok(())
}

fn kind_of(context: &Context<'_>, node: &Node, path: &str) -> Result<Kind> {
    let field = |name: &str| {
        node.entry(name)
            .and_then(|entry| Some((entry.value.scalar()?, entry.value.place)))
    };
    let prefix = if path.is_empty() {
        String::new()
    } else {
        format!("{path}.")
    };
    let Some((kind, kind_place)) = field("kind") else {
        return Err(Problem::invalid(format!("{prefix}kind is missing"))
            .at(node.place.in_file(context.file))
            .limit("a mapping with apiVersion and kind")
            .found(node.describe())
            .remedy("begin the document with apiVersion: v1 and kind: Pod"));
    };
    let known = Kind::ALL.iter().find(|(_, name, _)| *name == kind);
    let Some((known, name, api_version)) = known else {
        let names = Kind::ALL.map(|(_, name, _)| name);
        let problem = Problem::refused(format!(
            "{prefix}kind {} is not supported by uc",
            shortened(kind)
        ))
        .at(kind_place.in_file(context.file))
        .limit(names.join(", "));
        return Err(match nearest(kind, names.into_iter()) {
            Some(name) => problem.remedy(format!("did you mean {name}?")),
            None => problem
                .remedy("write the Pod itself: metadata and spec of the object's Pod template"),
        });
    };
    match field("apiVersion") {
        Some((found, _)) if found == *api_version => Ok(*known),
        found => {
            let place = found.map_or(node.place, |(_, place)| place);
            let found = found.map_or("nothing".to_owned(), |(text, _)| shortened(text));
            Err(
                Problem::invalid(format!("{prefix}apiVersion of a {name} is {api_version}"))
                    .at(place.in_file(context.file))
                    .found(found)
                    .remedy(format!("write apiVersion: {api_version}")),
            )
        }
    }
}
