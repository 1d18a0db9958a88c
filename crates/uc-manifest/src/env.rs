//! The environment of a container: `envFrom`, `env`, and `$(NAME)` in values, command and arguments.

use std::collections::HashMap;

use uc_model::{Bytes, Problem, Result, workload::EnvVar};

use crate::{
    data::DataKind,
    expand::{MAX_STRING, expand},
    name::check_env_name,
    scope::Scope,
    view::View,
};

/// The environment of one container, in order, with fast look-up.
#[derive(Default)]
pub(crate) struct Environment {
    vars: Vec<EnvVar>,
    positions: HashMap<String, usize>,
}

impl Environment {
    /// Reads `envFrom`, then `env`; a later variable replaces an earlier one of its name.
    pub(crate) fn read(container: &View<'_>, scope: &Scope<'_>, name: &str) -> Result<Self> {
        let mut environment = Self::default();
        for source in container.objects("envFrom") {
            environment.take_all(&source, scope)?;
        }
        for variable in container.objects("env") {
            let key = variable.required("name")?;
            check_env_name(key).map_err(|problem| variable.blame("name", problem))?;
            if let Some(value) = environment.value(&variable, scope, name)? {
                environment.set(key, value, &variable)?;
            }
        }
        Ok(environment)
    }

    /// The variables, in order.
    pub(crate) fn into_vars(self) -> Vec<EnvVar> {
        self.vars
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let position = *self.positions.get(name)?;
        self.vars.get(position).map(|var| var.value.as_str())
    }

    /// Expands references to these variables in the text of a field.
    pub(crate) fn expand(&self, text: &str, view: &View<'_>, field: &str) -> Result<String> {
        let expanded = expand(text, |name| self.get(name)).ok_or_else(|| {
            let problem = Problem::invalid("the text expands beyond the limit")
                .limit(Bytes(MAX_STRING as u64));
            view.blame(field, problem)
        })?;
        if expanded.contains('\0') {
            let problem = Problem::invalid("a NUL character cannot be passed to a program");
            return Err(view.blame(field, problem));
        }
        view.context
            .spend(expanded.len())
            .map_err(|problem| view.blame(field, problem))?;
        Ok(expanded)
    }

    fn set(&mut self, name: &str, value: String, view: &View<'_>) -> Result<()> {
        if value.contains('\0') || value.len() > MAX_STRING {
            let problem = Problem::invalid("the value cannot be an environment variable")
                .limit(format!(
                    "{} without NUL characters",
                    Bytes(MAX_STRING as u64)
                ))
                .found(format!("{} for {name}", Bytes(value.len() as u64)));
            return Err(view.blame_self(problem));
        }
        view.context
            .spend(name.len() + value.len())
            .map_err(|problem| view.blame_self(problem))?;
        match self
            .positions
            .get(name)
            .and_then(|position| self.vars.get_mut(*position))
        {
            Some(var) => var.value = value,
            None => {
                self.positions.insert(name.to_owned(), self.vars.len());
                self.vars.push(EnvVar {
                    name: name.to_owned(),
                    value,
                });
            }
        }
        Ok(())
    }

    fn take_all(&mut self, source: &View<'_>, scope: &Scope<'_>) -> Result<()> {
        let prefix = source.text("prefix").unwrap_or_default();
        let references = [
            ("configMapRef", DataKind::ConfigMap),
            ("secretRef", DataKind::Secret),
        ]
        .map(|(field, kind)| (source.object(field), kind));
        let count = references.iter().filter(|(view, _)| view.is_some()).count();
        if count != 1 {
            let problem = Problem::invalid("exactly one of configMapRef and secretRef is needed");
            return Err(source.blame_self(problem.found(count)));
        }
        for (reference, kind) in references {
            let Some(reference) = reference else { continue };
            let entries = scope
                .data
                .entries(kind, scope.facts.namespace, &reference, "name")?;
            let entries = entries.into_iter().flatten();
            for (key, datum) in entries.filter(|(_, datum)| datum.for_environment) {
                let name = format!("{prefix}{key}");
                check_env_name(&name).map_err(|problem| source.blame_self(problem))?;
                self.set(&name, text_of(&datum.content, key, &reference)?, source)?;
            }
        }
        Ok(())
    }

    /// The value of one variable; `None` where an optional reference leads nowhere.
    fn value(&self, variable: &View<'_>, scope: &Scope<'_>, name: &str) -> Result<Option<String>> {
        let Some(source) = variable.object("valueFrom") else {
            let text = variable.text("value").unwrap_or_default();
            return self.expand(text, variable, "value").map(Some);
        };
        if variable
            .text("value")
            .is_some_and(|value| !value.is_empty())
        {
            let problem = Problem::invalid("value and valueFrom exclude each other");
            return Err(variable.blame_self(problem));
        }
        let fields = [
            "configMapKeyRef",
            "secretKeyRef",
            "fieldRef",
            "resourceFieldRef",
        ];
        let given: Vec<&str> = fields
            .into_iter()
            .filter(|field| source.has(field))
            .collect();
        let [field] = given.as_slice() else {
            let problem = Problem::invalid("exactly one source is needed")
                .limit(fields.join(", "))
                .found(given.len());
            return Err(source.blame_self(problem));
        };
        let Some(reference) = source.object(field) else {
            return Ok(None);
        };
        match *field {
            "fieldRef" => scope.facts.field(&reference, false).map(Some),
            "resourceFieldRef" => scope.facts.resource(&reference, Some(name)).map(Some),
            "secretKeyRef" => key_value(&reference, scope, DataKind::Secret),
            _ => key_value(&reference, scope, DataKind::ConfigMap),
        }
    }
}

fn key_value(reference: &View<'_>, scope: &Scope<'_>, kind: DataKind) -> Result<Option<String>> {
    let key = reference.required("key")?;
    let Some(entries) = scope
        .data
        .entries(kind, scope.facts.namespace, reference, "name")?
    else {
        return Ok(None);
    };
    match entries.get(key).filter(|datum| datum.for_environment) {
        Some(datum) => text_of(&datum.content, key, reference).map(Some),
        None if reference.boolean("optional") == Some(true) => Ok(None),
        None => {
            let keys: Vec<&str> = entries.keys().take(20).map(String::as_str).collect();
            let problem = Problem::invalid("no such key")
                .limit(keys.join(", "))
                .found(key);
            Err(reference.blame("key", problem))
        }
    }
}

fn text_of(content: &[u8], key: &str, view: &View<'_>) -> Result<String> {
    String::from_utf8(content.to_vec()).map_err(|_| {
        let problem = Problem::invalid(format!("the value of {key} is not UTF-8 text"))
            .remedy("mount it as a file of a volume");
        view.blame_self(problem)
    })
}
