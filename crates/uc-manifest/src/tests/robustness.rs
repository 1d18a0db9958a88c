//! Whatever the text, reading it ends with a manifest or a problem, in bounded memory.

use std::path::Path;

use proptest::prelude::*;

use super::{pod, refuse};
use crate::{parse, parse_image};

const EVERYTHING: &str = include_str!("everything.yaml");

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,400}") {
        let _ = parse(&text, "f.yaml", Path::new("/"));
    }

    #[test]
    fn yaml_like_text_never_panics(text in "[ \n\t:,{}\\[\\]&*!|>'\"%@#a-c0-9<-]{0,300}") {
        let _ = parse(&text, "f.yaml", Path::new("/"));
    }

    #[test]
    fn mutated_manifests_never_panic(
        at in 0..EVERYTHING.len(),
        length in 0usize..40,
        put in "[ \n\t:,{}\\[\\]&*!|'\"a-z0-9$()-]{0,12}",
    ) {
        let floor = |index: usize| (0..=index.min(EVERYTHING.len()))
            .rev()
            .find(|i| EVERYTHING.is_char_boundary(*i))
            .unwrap_or(0);
        let (start, end) = (floor(at), floor(at + length));
        let text = format!("{}{put}{}", &EVERYTHING[..start], &EVERYTHING[end..]);
        if let Err(problem) = parse(&text, "f.yaml", Path::new("/")) {
            prop_assert!(problem.to_string().starts_with("f.yaml"), "{}", problem);
        }
    }

    #[test]
    fn images_never_panic_and_normal_forms_are_fixed_points(text in "[a-z0-9A-Z:./@_\\[\\]-]{0,60}") {
        if let Ok(uc_model::workload::ImageSource::Registry { reference }) = parse_image(&text, Path::new("/")) {
            let again = parse_image(&reference, Path::new("/")).expect("a normal form parses");
            prop_assert_eq!(again.to_string(), reference);
        }
    }
}

#[test]
fn expansion_bombs_are_defused() {
    let mut env = String::from("env:\n- {name: V0, value: xxxxxxxxxxxxxxxx}\n");
    for level in 1..40 {
        let before = level - 1;
        env.push_str(&format!(
            "- {{name: V{level}, value: $(V{before})$(V{before})}}\n"
        ));
    }
    assert!(
        refuse(&pod("", &env))
            .to_string()
            .contains("expands beyond the limit")
    );

    let data = "x".repeat(400_000);
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata: {{k: {data}}}\n---\n"
    );
    let volumes: String = (0..100)
        .map(|index| format!("- {{name: v{index}, configMap: {{name: m}}}}\n"))
        .collect();
    let text = format!("{map}{}", pod(&format!("volumes:\n{volumes}"), ""));
    assert!(
        refuse(&text)
            .to_string()
            .contains("expands to too much text")
    );
}

#[test]
fn text_and_depth_are_bounded() {
    let padded = |bytes: usize| {
        let text = pod("", "");
        format!("{text}{}", " ".repeat(bytes - text.len()))
    };
    assert!(parse(&padded(1 << 20), "f.yaml", Path::new("/")).is_ok());
    let problem = refuse(&padded((1 << 20) + 1));
    assert!(problem.to_string().contains("1 MiB"), "{problem}");
    let nested = |depth: usize| format!("a: {}{}", "[".repeat(depth), "]".repeat(depth));
    let deep = |depth| refuse(&nested(depth)).to_string().contains("64");
    // The list and the mapping around it count, too.
    assert!(!deep(62), "{}", refuse(&nested(62)));
    assert!(deep(65), "{}", refuse(&nested(65)));
}

/// Inputs that would take a reader of quadratic cost minutes; a bound on nodes or text stops each.
#[test]
fn repetitive_text_is_read_or_refused() {
    for unit in [
        "- ", "? ", "[", "{a: ", "&a ", "*a ", "a: b\n", "---\n", "'", "\"", "|\n", "#", "\t",
        "<<: ",
    ] {
        let text = unit.repeat(200_000 / unit.len());
        assert!(parse(&text, "f.yaml", Path::new("/")).is_err(), "{unit:?}");
    }
    let dollars = pod("", &format!("args: [\"{}\"]", "$(".repeat(60_000)));
    assert!(parse(&dollars, "f.yaml", Path::new("/")).is_ok());
}
