//! What Kubernetes 1.34 knows about each object, and what `uc` does with each field: data, not code.
//!
//! Every field of Pod, RuntimeClass, ConfigMap, Secret and List is listed once, with its shape and its [`Fate`].
//! Reading goes through these tables only (see `view.rs`), so a field that is not listed cannot be used, and one
//! that is listed cannot be ignored.

pub(crate) mod container;
pub(crate) mod document;
pub(crate) mod placement;
pub(crate) mod pod;
pub(crate) mod volume;

/// A Kubernetes object type.
#[derive(Debug)]
pub(crate) struct Object {
    /// Its name in the API reference.
    pub(crate) name: &'static str,
    /// All its fields.
    pub(crate) fields: &'static [Field],
}

impl Object {
    /// The field of a name.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A field of an object.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its JSON name.
    pub(crate) name: &'static str,
    /// What it may hold.
    pub(crate) shape: Shape,
    /// What `uc` does with it.
    pub(crate) fate: Fate,
}

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Text,
    Integer,
    Boolean,
    /// A string or a number.
    Quantity,
    /// A string or an integer, such as a port by name or number.
    IntOrText,
    Object(&'static Object),
    List(&'static Shape),
    /// A mapping from any key to values of one shape.
    Map(&'static Shape),
    /// Anything; not looked into.
    Any,
}

/// What `uc` does with a field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It has its Kubernetes meaning.
    Used,
    /// It means nothing on a single machine: accepted with a note that says why.
    Inert(&'static str),
    /// It cannot be honoured.
    Refused(Refusal),
    /// Only these values can be honoured, since they describe what happens anyway.
    Only(&'static [&'static str], Refusal),
}

/// Why a field is refused, and what to do instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    /// The reason.
    pub(crate) why: &'static str,
    /// What to do.
    pub(crate) remedy: &'static str,
}

/// Text.
pub(crate) const TEXT: Shape = Shape::Text;
/// An integer.
pub(crate) const INTEGER: Shape = Shape::Integer;
/// A boolean.
pub(crate) const BOOLEAN: Shape = Shape::Boolean;
/// A list of strings.
pub(crate) const TEXTS: Shape = Shape::List(&Shape::Text);
/// A mapping of strings.
pub(crate) const TEXT_MAP: Shape = Shape::Map(&Shape::Text);
/// A mapping of quantities.
pub(crate) const QUANTITIES: Shape = Shape::Map(&Shape::Quantity);

/// A field with its Kubernetes meaning.
pub(crate) const fn used(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        fate: Fate::Used,
    }
}

/// A field without effect on one machine.
pub(crate) const fn inert(name: &'static str, shape: Shape, why: &'static str) -> Field {
    Field {
        name,
        shape,
        fate: Fate::Inert(why),
    }
}

/// A field that is refused.
pub(crate) const fn refused(name: &'static str, why: &'static str, remedy: &'static str) -> Field {
    Field {
        name,
        shape: Shape::Any,
        fate: Fate::Refused(Refusal { why, remedy }),
    }
}

/// A field of which only some values are accepted.
pub(crate) const fn only(
    name: &'static str,
    shape: Shape,
    values: &'static [&'static str],
    why: &'static str,
    remedy: &'static str,
) -> Field {
    Field {
        name,
        shape,
        fate: Fate::Only(values, Refusal { why, remedy }),
    }
}
