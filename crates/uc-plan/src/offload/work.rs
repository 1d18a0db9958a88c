//! The busy time of a machine by kind of work, every tick once.

use super::{
    delta::{Attributed, Spent, Time},
    programs::Class,
};

/// The busy time of the machine by kind of work, in ticks; every tick once.
pub(super) struct Work {
    pub(super) spent: Spent,
    pub(super) network_softirq: f64,
    /// Ticks of each class.
    pub(super) classes: [(Class, f64); 5],
    /// System time of all classes.
    pub(super) system: f64,
    /// Counters that were read for the classes.
    pub(super) counters: f64,
    /// By what the processes' times had to be multiplied to fit into the machine's.
    pub(super) fit: f64,
}

impl Work {
    pub(super) fn new(
        spent: Spent,
        network_softirqs: Option<f64>,
        attributed: &Attributed,
    ) -> Self {
        let sum = |of: fn(&Time) -> f64, class: Option<Class>| -> f64 {
            attributed
                .time
                .iter()
                .filter(|((found, _), _)| class.is_none_or(|class| class == *found))
                .map(|(_, time)| of(time))
                .sum()
        };
        let all = sum(|time| time.user + time.system, None);
        let fit = if all > spent.ordinary {
            spent.ordinary / all
        } else {
            1.0
        };
        let of = |class| {
            (
                class,
                fit * sum(|time| time.user + time.system, Some(class)),
            )
        };
        Self {
            spent,
            network_softirq: spent.softirq * network_softirqs.unwrap_or(0.0),
            classes: [
                of(Class::NetworkThread),
                of(Class::CryptoThread),
                of(Class::NetworkProgram),
                of(Class::CryptoProgram),
                of(Class::NamedByUser),
            ],
            system: fit * sum(|time| time.system, None),
            counters: sum(|time| 2.0 * time.processes as f64, None),
            fit,
        }
    }

    /// Ticks of the processes that count into P and encrypt, or that do not.
    pub(super) fn processes(&self, crypto: bool) -> f64 {
        self.classes
            .iter()
            .filter(|(class, _)| is_crypto(*class) == crypto)
            .map(|(_, ticks)| ticks)
            .sum()
    }

    /// A share of the busy time; rounding may not lead out of 0 to 1.
    pub(super) fn share(&self, ticks: f64) -> f64 {
        (ticks / self.spent.busy()).clamp(0.0, 1.0)
    }
}

fn is_crypto(class: Class) -> bool {
    matches!(class, Class::CryptoThread | Class::CryptoProgram)
}

pub(super) fn label(class: Class) -> &'static str {
    match class {
        Class::NetworkThread => "kernel network threads",
        Class::CryptoThread => "kernel crypto threads",
        Class::NetworkProgram => "network programs",
        Class::CryptoProgram => "crypto programs",
        Class::NamedByUser => "programs named by the user",
        Class::ServesSoftirqs => "ksoftirqd",
    }
}
