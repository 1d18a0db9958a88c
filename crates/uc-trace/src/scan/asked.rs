//! Functions that a program looks up by name while it runs (`dlsym`), where the name is in its data.

use std::collections::BTreeSet;

use super::{
    bytes::text_at,
    code,
    reach::{Function, Reach},
    sites::Sites,
    unit::Unit,
    value::{Parameter, Value},
};

/// The functions that look up.
const LOOKUPS: [&str; 2] = ["dlsym", "dlvsym"];
/// What is found can look up more; so often is looked again.
const MAX_ROUNDS: usize = 4;

/// Adds what is looked up to what can run. Returns the number of places whose name is computed.
pub(super) fn follow<'a>(units: &[Unit<'a>], reach: &mut Reach<'_, 'a>) -> usize {
    let lookups: BTreeSet<Function> = LOOKUPS
        .iter()
        .flat_map(|name| reach.functions_named(name))
        .collect();
    let mut computed = 0;
    for _ in 0..MAX_ROUNDS {
        let mut names = BTreeSet::new();
        computed = 0;
        let mut sites = Sites::new(units, reach);
        for lookup in lookups.iter().filter(|lookup| reach.is_reached(**lookup)) {
            let Some(unit) = units.get(lookup.0) else {
                continue;
            };
            let [_, name, ..] = code::convention(unit.elf.architecture).arguments;
            for site in sites.of(*lookup, Parameter::Register(name)) {
                match text(units, site.caller.0, site.value) {
                    Some(name) => {
                        names.insert(name);
                    }
                    None => computed += 1,
                }
            }
        }
        if !reach.ask(&names) {
            break;
        }
    }
    computed
}

fn text<'a>(units: &[Unit<'a>], unit: usize, value: Value) -> Option<&'a str> {
    let Value::Number(address) = value else {
        return None;
    };
    text_at(units.get(unit)?.elf.from(address)?, 0)
}
