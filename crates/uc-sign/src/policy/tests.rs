//! Policies: what they decide, when that changes, and what is refused.

use proptest::prelude::*;
use uc_model::ProblemKind;

use super::*;
use crate::keys::tests::{SIGNING, key};

/// 2026-03-01 and 2026-04-01.
const MARCH: i64 = 1_772_323_200;
const APRIL: i64 = 1_775_001_600;

fn pem(name: &str) -> Result<Vec<u8>> {
    let seed = match name {
        "old.pub" => 1,
        "new.pub" => 2,
        "security.pub" => 3,
        _ => return Err(Problem::not_found("no such file").at(name)),
    };
    Ok(key(SIGNING[0], seed).public_key().to_pem().into_bytes())
}

const GOOD: &str = r#"
version = 1

[signers.release]
keys = [
  { file = "old.pub", not_after = 2026-04-01T00:00:00Z },
  { file = "new.pub", not_before = 2026-03-01T01:00:00+01:00 },
]

[signers.security]
keys = [{ file = "security.pub" }]

[[rules]]
repositories = ["h/prod/**", "h/base"]
signers = ["release", "security"]
require = "all"
attestations = ["spdxjson"]

[[rules]]
repositories = ["h/*/any"]
signers = ["security", "release"]

[[rules]]
repositories = ["docker.io/library/*"]
unsigned = "allow"
"#;

fn policy(text: &str) -> Result<Policy> {
    PolicyFile::parse(text, "trust.toml")?.resolve(pem)
}

#[test]
fn the_first_rule_that_matches_decides() {
    let policy = policy(GOOD).expect("a policy");
    let at = |repository: &str| policy.evaluate(repository, MARCH).expect("a rule");
    let strict = at("h/prod/a/b");
    assert_eq!(strict.pattern, "h/prod/**");
    assert_eq!(strict.requirement.needed(), 2);
    assert_eq!(strict.requirement.attestations[0].name(), "spdxjson");
    let any = at("h/test/any");
    assert_eq!(any.requirement.needed(), 1);
    assert_eq!(any.requirement.signers()[0].name, "security");
    assert_eq!(at("h/prod/any").pattern, "h/prod/**");
    let open = at("docker.io/library/busybox");
    assert!(open.requirement.unsigned_allowed);
    assert_eq!(open.valid_until, None);

    let problem = policy.evaluate("elsewhere/a", MARCH).expect_err("no rule");
    assert_eq!(problem.kind(), ProblemKind::Refused);
    assert!(
        problem.to_string().contains("trust.toml: elsewhere/a"),
        "{problem}"
    );
    assert!(policy.evaluate("busybox:latest", MARCH).is_err());
}

#[test]
fn keys_count_in_their_time_and_overlap() {
    let policy = policy(GOOD).expect("a policy");
    let states = |now: i64| {
        let decision = policy.evaluate("h/base", now).expect("a rule");
        let signers = decision.requirement.signers();
        let release: Vec<KeyState> = signers[0].keys.iter().map(|key| key.state).collect();
        (release, decision.valid_until)
    };
    use KeyState::{Expired, NotYetValid, Valid};
    assert_eq!(
        states(MARCH - 1),
        (vec![Valid, NotYetValid(MARCH)], Some(MARCH))
    );
    assert_eq!(states(MARCH), (vec![Valid, Valid], Some(APRIL)));
    assert_eq!(states(APRIL - 1), (vec![Valid, Valid], Some(APRIL)));
    assert_eq!(states(APRIL), (vec![Expired(APRIL), Valid], None));
}

#[test]
fn a_rule_whose_keys_have_run_out_says_so() {
    let text = GOOD.replace(
        "  { file = \"new.pub\", not_before = 2026-03-01T01:00:00+01:00 },\n",
        "",
    );
    let policy = policy(&text).expect("a policy");
    assert!(policy.evaluate("h/base", MARCH).is_ok());
    let problem = policy.evaluate("h/base", APRIL).expect_err("expired");
    let words = problem.to_string();
    assert!(
        words.contains("release expired at 2026-04-01T00:00:00Z"),
        "{words}"
    );
    assert!(policy.evaluate("h/test/any", APRIL).is_ok());
}

#[test]
fn the_digest_follows_the_meaning_alone() {
    let digest = |text: &str| policy(text).expect("a policy").digest().clone();
    let same = GOOD
        .replace("\n\n", "\n# a comment\n\n")
        .replace("require = \"all\"", "require = 'all'");
    assert_eq!(digest(GOOD), digest(&same));
    for (from, to) in [
        ("require = \"all\"", "require = 1"),
        ("h/base", "h/bases"),
        ("old.pub", "security2.pub"),
        ("2026-04-01", "2026-04-02"),
        ("[\"spdxjson\"]", "[\"cyclonedx\"]"),
        (
            "docker.io/library/*\"]\nunsigned = \"allow\"",
            "docker.io/library/*\"]\nsigners = [\"release\"]",
        ),
    ] {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD);
        let file = PolicyFile::parse(&text, "trust.toml").expect("read");
        let changed = file
            .resolve(|name| match name {
                "security2.pub" => Ok(key(SIGNING[1], 9).public_key().to_pem().into_bytes()),
                other => pem(other),
            })
            .expect("a policy");
        assert_ne!(digest(GOOD), *changed.digest(), "{from}");
    }
}

#[test]
fn the_example_of_the_documentation_is_a_policy() {
    let source = include_str!("../policy.rs");
    let start = source.find("```toml\n").expect("an example") + 8;
    let lines: Vec<&str> = source[start..]
        .lines()
        .take_while(|line| !line.contains("```"))
        .map(|line| line.trim_start_matches("//!").trim_start())
        .collect();
    let file = PolicyFile::parse(&lines.join("\n"), "example").expect("read");
    assert_eq!(file.key_files().len(), 2);
    let policy = file.resolve(|name| {
        pem(match name {
            "release-2025.pub" => "old.pub",
            _ => "new.pub",
        })
    });
    let policy = policy.expect("a policy");
    assert!(
        policy
            .evaluate("registry.example.com/prod/a", MARCH)
            .is_ok()
    );
}

/// Replaces a part of the good policy and checks what is said about it.
fn is_refused(from: &str, to: &str, says: &str) {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "{from}");
    let words = policy(&text).expect_err(says).to_string();
    assert!(words.contains(says), "{says}: {words}");
    assert!(words.starts_with("trust.toml"), "{words}");
}

#[test]
fn a_malformed_document_is_refused_by_line_and_field() {
    is_refused("version = 1", "", "missing field `version`");
    is_refused(
        "version = 1",
        "version = 2",
        "trust.toml:2: version: the trust policy's version",
    );
    is_refused("version = 1", "version = \"1\"", "trust.toml:2: version");
    for wrong in ["\"some\"", "-1"] {
        is_refused(
            "require = \"all\"",
            &format!("require = {wrong}"),
            "trust.toml:16: require",
        );
    }
    is_refused(
        "require =",
        "requires =",
        "trust.toml:16: requires: the trust policy is malformed (found: unknown field `requires`",
    );
    is_refused(
        "unsigned = \"allow\"",
        "unsigned = true",
        "trust.toml:25: unsigned",
    );
    is_refused("2026-04-01T00:00:00Z", "\"soon\"", "trust.toml:6");
    is_refused(
        "[[rules]]\nrepositories = [\"docker",
        "[[rule]]\nrepositories = [\"docker",
        "unknown field `rule`",
    );
    let many = format!(
        "version = 1\n{}",
        "[[rules]]\nrepositories = [\"a\"]\n".repeat(MAX_RULES + 1)
    );
    let words = policy(&many).expect_err("too many").to_string();
    assert!(words.contains("too many rules"), "{words}");
    let words = policy(&"#".repeat(MAX_POLICY_BYTES + 1))
        .expect_err("too large")
        .to_string();
    assert!(words.contains("too large"), "{words}");
    assert!(policy(&format!("x = {}", "[".repeat(100_000))).is_err());
}

#[test]
fn a_rule_that_cannot_work_is_refused() {
    is_refused(
        "require = \"all\"",
        "require = 3",
        "rules[0].signers: the threshold cannot be reached",
    );
    is_refused(
        "require = \"all\"",
        "require = 0",
        "threshold cannot be reached",
    );
    is_refused(
        "\"spdxjson\"",
        "\"spdxxml\"",
        "trust.toml:17: rules[0].attestations: not a predicate type",
    );
    is_refused(
        "\"spdxjson\"",
        "\"https://sigstore.dev/cosign/sign/v1\"",
        "a signature is not an attestation",
    );
    is_refused(
        "h/prod/**",
        "h/prod**",
        "trust.toml:14: rules[0].repositories: not a pattern",
    );
    is_refused(
        "[\"h/*/any\"]",
        "[]",
        "rules[1].repositories: a rule needs repositories",
    );
    is_refused(
        "[\"h/*/any\"]",
        "[\"h/base\"]",
        "trust.toml:20: rules[1].repositories: this pattern never decides",
    );
    is_refused("\"h/base\"", "\"**\"", "this pattern never decides");
    let again =
        "unsigned = \"allow\"\n[[rules]]\nrepositories = [\"h/base\"]\nunsigned = \"allow\"\n";
    is_refused("unsigned = \"allow\"\n", again, "never decides");
    let chosen = "[\"security\", \"release\"]";
    is_refused(
        chosen,
        "[\"nobody\"]",
        "trust.toml:21: rules[1].signers: no such signer",
    );
    is_refused(
        chosen,
        "[\"release\", \"release\"]",
        "stands twice in a rule",
    );
    is_refused(chosen, "[]", "rules[1].signers: a rule needs signers");
    let open = "unsigned = \"allow\"";
    is_refused(open, &format!("{open}\nrequire = 1"), "cannot require any");
    is_refused(
        open,
        &format!("{open}\nattestations = [\"vuln\"]"),
        "cannot require attestations",
    );
}

#[test]
fn a_bad_key_is_refused() {
    is_refused(
        "\"security.pub\"",
        "\"none.pub\"",
        "trust.toml:11: signers.security.keys[0]: none.pub: no such file",
    );
    is_refused("\"security.pub\"", "\"old.pub\"", "one key stands twice");
    let table = "{ file = \"security.pub\" }";
    is_refused(table, "{ }", "a key needs either `file` or `pem`");
    is_refused(
        table,
        "{ pem = \"x\" }",
        "signers.security.keys[0]: not a key",
    );
    is_refused(
        &format!("[{table}]"),
        "[]",
        "signers.security.keys: a signer has no key",
    );
    for date in ["2026-04-01", "2026-04-01T00:00:00", "00:00:00"] {
        is_refused(
            "2026-04-01T00:00:00Z",
            date,
            "trust.toml:6: signers.release.keys[0].not_after: not a point in time",
        );
    }
    let never = "not_before = 2026-04-01T00:00:00Z, not_after = 2026-04-01T00:00:00Z";
    is_refused(
        "not_after = 2026-04-01T00:00:00Z",
        never,
        "the key never counts",
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_text_never_panics(text in ".{0,200}") {
        let _ = policy(&text);
    }

    #[test]
    fn a_damaged_policy_never_panics(at in any::<prop::sample::Index>(), with in any::<char>()) {
        let at = at.index(GOOD.len());
        let mut text = GOOD.to_owned();
        text.replace_range(at..=at, &with.to_string());
        let _ = policy(&text);
    }

    #[test]
    fn random_repositories_never_panic(repository in ".{0,60}") {
        let _ = policy(GOOD).expect("a policy").evaluate(&repository, MARCH);
    }
}
