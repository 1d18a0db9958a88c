//! Each order of versions against the tool that defines it, where that is installed.

#![allow(clippy::expect_used, reason = "tests fail by panicking")]

use std::{
    cmp::Ordering,
    io::Write as _,
    process::{Command, Stdio},
};

use uc_sbom::version::{Version, VersionScheme};

/// Pairs of versions, the same in each run, most of them close to each other.
fn pairs(count: usize, pieces: &[&str], joints: &[&str]) -> Vec<(String, String)> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let mut version = || {
        let mut text = next(4).to_string();
        for _ in 0..next(5) {
            text.push_str(joints[next(joints.len())]);
            text.push_str(pieces[next(pieces.len())]);
        }
        text
    };
    (0..count).map(|_| (version(), version())).collect()
}

fn ours(scheme: VersionScheme, a: &str, b: &str) -> Option<Ordering> {
    let a = Version::parse(scheme, a).ok()?;
    a.compare(&Version::parse(scheme, b).ok()?)
}

fn is_there(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Gives `pairs` to a program, a pair a line, and compares its answers (`-1`, `0`, `1`, or `?` for what it refuses).
fn check(scheme: VersionScheme, pairs: &[(String, String)], program: &str, arguments: &[&str]) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut input = child.stdin.take().expect("piped");
    let lines: String = pairs.iter().map(|(a, b)| format!("{a} {b}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).expect("writes"));
    let output = child.wait_with_output().expect("ends");
    writer.join().expect("joins");
    let answers = String::from_utf8(output.stdout).expect("text");
    compare(scheme, pairs, &answers);
}

fn compare(scheme: VersionScheme, pairs: &[(String, String)], answers: &str) {
    let answers: Vec<_> = answers.lines().collect();
    assert_eq!(answers.len(), pairs.len());
    let mut compared = 0;
    for ((a, b), answer) in pairs.iter().zip(answers) {
        let theirs = match answer.trim() {
            "-1" => Ordering::Less,
            "0" => Ordering::Equal,
            "1" => Ordering::Greater,
            _ => continue,
        };
        compared += 1;
        assert_eq!(
            ours(scheme, a, b),
            Some(theirs),
            "{scheme:?}: {a} against {b}"
        );
    }
    assert!(compared * 4 > pairs.len(), "too few versions were valid");
}

#[test]
fn debian_as_dpkg() {
    if !is_there("dpkg", &["--version"]) {
        println!("skipped: dpkg is not installed");
        return;
    }
    let pieces = [
        "0", "1", "01", "a", "ab", "~rc1", "+b1", "deb12u1", "rc", "~", "Z", "10",
    ];
    let pairs = pairs(400, &pieces, &[".", "-", "+", "~", "", "1:"]);
    let mut answers = String::new();
    for (a, b) in &pairs {
        let holds = |relation: &str| is_there("dpkg", &["--compare-versions", a, relation, b]);
        let valid = |text: &str| is_there("dpkg", &["--validate-version", text]);
        let answer = if !valid(a) || !valid(b) {
            "?"
        } else if holds("lt") {
            "-1"
        } else if holds("eq") {
            "0"
        } else {
            "1"
        };
        answers.push_str(answer);
        answers.push('\n');
    }
    compare(VersionScheme::Debian, &pairs, &answers);
}

#[test]
fn rpm_as_rpm() {
    if !is_there("rpm", &["--eval", "%{lua: print(rpm.vercmp('1','2'))}"]) {
        println!("skipped: rpm with Lua is not installed");
        return;
    }
    let pieces = [
        "0", "1", "01", "a", "ab", "rc1", "el9", "10", "~rc1", "^git1", "Z",
    ];
    let pairs = pairs(600, &pieces, &[".", "_", "+", "~", "^", ""]);
    let calls: String = pairs
        .iter()
        .map(|(a, b)| format!("print(rpm.vercmp('{a}','{b}') .. ' ')\n"))
        .collect();
    let output = Command::new("rpm")
        .args(["--eval", &format!("%{{lua:{calls}}}")])
        .output()
        .expect("runs");
    let answers = String::from_utf8(output.stdout).expect("text");
    compare(
        VersionScheme::Rpm,
        &pairs,
        &answers.trim_end().replace(' ', "\n"),
    );
}

#[test]
fn python_as_packaging() {
    const SCRIPT: &str = "
import sys
from packaging.version import Version, InvalidVersion
for line in sys.stdin:
    a, b = line.split()
    try:
        a, b = Version(a), Version(b)
        print(-1 if a < b else 1 if a > b else 0)
    except InvalidVersion:
        print('?')
";
    // That of `cargo xtask setup --for-tests`, or the system's.
    let own = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/sbom-validators/bin/python3"
    );
    let has_module = |python: &&str| is_there(python, &["-c", "import packaging.version"]);
    let Some(python) = [own, "python3"].into_iter().find(has_module) else {
        println!("skipped: python3 with packaging is not installed");
        return;
    };
    let pieces = [
        "0", "1", "a1", "b2", "rc1", "post1", "dev0", "dev", "pre", "1!2", "local", "rev3", "c",
    ];
    let pairs = pairs(6000, &pieces, &[".", ".", "-", "_", "+", ""]);
    check(VersionScheme::Pep440, &pairs, python, &["-c", SCRIPT]);
}

#[test]
fn gems_as_ruby() {
    const SCRIPT: &str = "STDIN.each_line { |line| a, b = line.split; \
        begin; puts(Gem::Version.new(a) <=> Gem::Version.new(b)); rescue ArgumentError; puts '?'; end }";
    if !is_there("ruby", &["-e", "Gem::Version"]) {
        println!("skipped: ruby is not installed");
        return;
    }
    let pieces = ["0", "1", "01", "a", "rc1", "pre", "beta2", "10", "b", "A"];
    let pairs = pairs(4000, &pieces, &[".", ".", "-", ""]);
    check(VersionScheme::Gem, &pairs, "ruby", &["-e", SCRIPT]);
}

#[test]
fn maven_as_maven() {
    const JAR: &str =
        "/usr/share/maven/lib/maven-artifact-3.x.jar:/usr/share/java/commons-lang3.jar";
    const MAIN: &str = "org.apache.maven.artifact.versioning.ComparableVersion";
    if !is_there("java", &["-cp", JAR, MAIN, "1", "2"]) {
        println!("skipped: java with Debian's package maven is not installed");
        return;
    }
    let pieces = [
        "0", "1", "01", "alpha", "a1", "b2", "beta", "m1", "rc1", "cr2", "snapshot", "ga", "final",
        "sp", "sp1", "x", "xyz", "10", "release", "jre",
    ];
    let pairs = pairs(1500, &pieces, &[".", ".", "-", "-", "_", ""]);
    let versions: Vec<_> = pairs
        .iter()
        .flat_map(|(a, b)| [a.as_str(), b.as_str()])
        .collect();
    let output = Command::new("java")
        .args(["-cp", JAR, MAIN])
        .args(&versions)
        .output()
        .expect("runs");
    // Each version is compared with the one before it: `   a < b`; every second of these lines is a pair of ours.
    let text = String::from_utf8(output.stdout).expect("text");
    let answers: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("   "))
        .map(|line| match line.split_whitespace().nth(1) {
            Some("<") => "-1",
            Some("==") => "0",
            Some(">") => "1",
            _ => "?",
        })
        .step_by(2)
        .collect();
    compare(VersionScheme::Maven, &pairs, &answers.join("\n"));
}

#[test]
fn known_orders() {
    use VersionScheme::{Alpine, Gem, Maven, Pep440, Rpm, Semver};
    for (scheme, ascending) in [
        (
            Alpine,
            &[
                "0.1.0_alpha_pre2",
                "0.1.0_alpha",
                "0.1.0_alpha2",
                "0.1.0_rc1",
                "0.1.0",
                "0.1.0-r1",
                "0.1.0_p9-r0",
                "0.1.0_p10-r0",
                "0.1.0a",
                "0.1.0.1",
                "1.0.4-r3",
                "1.0.4-r4",
                "1.05",
                "1.1",
                "1.2_git20200101",
                "1.3",
                "2.3.0b-r1",
                "2.3.0b-r4",
                "10",
            ][..],
        ),
        (
            Rpm,
            &[
                "1.0~rc1-1",
                "1.0-1",
                "1.0^git1-1",
                "1.0.1-1",
                "1.1-1.el8",
                "1.1-1.el9",
                "1.1-2",
                "1:0.1-1",
            ],
        ),
        (
            Semver,
            &[
                "0.0.0",
                "1.0.0-alpha",
                "1.0.0-alpha.1",
                "1.0.0-alpha.beta",
                "1.0.0-beta.2",
                "1.0.0-beta.11",
                "1.0.0-rc.1",
                "1.0.0",
                "v1.0.1",
                "1.10.0",
            ],
        ),
        (
            Pep440,
            &[
                "1.dev0", "1a1.dev1", "1a1", "1b2", "1rc1", "1", "1+local", "1.post1", "1.1",
                "1!0.1",
            ],
        ),
        (Gem, &["1.0.a", "1.0.a2", "1.0.b1", "1.0", "1.0.1", "1.10"]),
        (
            Maven,
            &[
                "1-alpha-1",
                "1-beta",
                "1-rc1",
                "1-SNAPSHOT",
                "1",
                "1-sp",
                "1-abc",
                "1-1",
                "1.1",
                "1.10",
            ],
        ),
    ] {
        for window in ascending.windows(2) {
            assert_eq!(
                ours(scheme, window[0], window[1]),
                Some(Ordering::Less),
                "{window:?}"
            );
        }
    }
    assert_eq!(ours(Rpm, "1.0", "1.0-1"), Some(Ordering::Less));
    assert_eq!(ours(Semver, "1.0", "1.0.0+build"), Some(Ordering::Equal));
    assert_eq!(ours(Maven, "1.0.0", "1-ga"), Some(Ordering::Equal));
    for (scheme, wrong) in [
        (Alpine, "1.0-x"),
        (Alpine, "abc"),
        (Semver, "latest"),
        (Pep440, "1-x"),
        (Gem, "1..0"),
    ] {
        assert!(Version::parse(scheme, wrong).is_err(), "{wrong}");
    }
}

#[test]
fn alpine_by_known_pairs() {
    use VersionScheme::Alpine;
    for (less, more) in [
        ("1.12-r7", "6b-r7"),
        ("1.06-r6", "006"),
        ("0.12", "0.12.3"),
        ("0.94", "2.01.01_alpha10"),
        ("0.9.2", "1.00_beta2"),
        ("02.08.01b", "4.77"),
        ("0.20070118", "0.20070207_rc1"),
        ("0.5.0", "0.17"),
        ("1.02.07", "1.02.10-r1"),
        ("1.2.07.8", "1.2.12.04"),
        ("1.3_pre1-r1", "1.3.2"),
        ("2.9.11_pre20051101", "2.9.11_pre20051101-r2"),
        ("4.2.52_p2-r1", "4.2.52_p4-r2"),
        ("1.0.0_pre20191002222144-r0", "1.0.0_pre20210530193627-r0"),
    ] {
        assert_eq!(
            ours(Alpine, less, more),
            Some(Ordering::Less),
            "{less} {more}"
        );
    }
}

#[test]
fn maven_goes_in_circles() {
    use VersionScheme::Maven;
    for (less, more) in [
        ("0.0a1", "0"),
        ("0", "p1a1"),
        ("p1a1", "0.0a1"),
        ("1.0-rc1", "1"),
        ("1", "1.x-rc1"),
        ("1.x-rc1", "1.0-rc1"),
    ] {
        assert_eq!(
            ours(Maven, less, more),
            Some(Ordering::Less),
            "{less} {more}"
        );
    }
}
