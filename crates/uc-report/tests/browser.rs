//! Reports in a real browser: they fit a telephone, print, and follow light and dark. The pictures are kept below
//! `target/tmp/report` for whoever wants to look.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The first browser on PATH.
fn browser() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|file| file.is_file())
}

/// What the browser prints with these arguments.
fn run(browser: &Path, profile: &Path, arguments: &[&str]) -> String {
    let output = Command::new(browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .expect("the browser runs");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A page that shows the report in frames of several widths and writes down how wide its content is, and of which colour.
fn probe(html: &str) -> String {
    let report = html.replace('&', "&amp;").replace('"', "&quot;");
    let frames: String = [320, 390, 1280]
        .map(|width| {
            format!("<iframe width=\"{width}\" height=\"900\" srcdoc=\"{report}\"></iframe>")
        })
        .concat();
    format!(
        "<!DOCTYPE html><body>{frames}<p id=\"found\"></p><script>onload = () => {{
          const found = [...document.querySelectorAll('iframe')].map(frame => {{
            const page = frame.contentDocument;
            const texts = [...page.querySelectorAll('svg text')].map(text => text.getBoundingClientRect().height);
            const outside = [...page.querySelectorAll('.chart > svg')].filter(svg => {{
              const box = svg.getBoundingClientRect();
              return [...svg.querySelectorAll('text')].some(text => {{
                const one = text.getBoundingClientRect();
                return one.right > box.right + 2 || one.left < box.left - 2;
              }});
            }}).length;
            return [frame.clientWidth, page.documentElement.scrollWidth, Math.round(Math.min(...texts)), outside].join(' ');
          }});
          document.getElementById('found').textContent = 'FOUND ' + found.join(', ') + ' END';
        }};</script></body>"
    )
}

#[test]
fn a_report_fits_its_screen_and_its_texts_can_be_read() {
    let Some(browser) = browser() else {
        println!("skipped: no browser (chromium) on PATH");
        return;
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    fs::create_dir_all(&folder).expect("is made");
    let profile = folder.join("profile");
    let page = folder.join("sample.html");
    let html = support::sample().to_html();
    fs::write(&page, &html).expect("is written");
    let address = format!("file://{}", page.display());
    let screens: [(&str, &[&str]); 3] = [
        ("light.png", &["--window-size=1280,4200"]),
        (
            "dark.png",
            &[
                "--window-size=1280,4200",
                "--blink-settings=preferredColorScheme=0",
            ],
        ),
        ("phone.png", &["--window-size=500,4200"]),
    ];
    let mut sizes = Vec::new();
    for (name, arguments) in screens {
        let picture = folder.join(name);
        let screenshot = format!("--screenshot={}", picture.display());
        run(
            &browser,
            &profile,
            &[arguments, &[&screenshot, &address]].concat(),
        );
        let bytes = fs::read(&picture).expect("the picture is there");
        assert!(bytes.starts_with(b"\x89PNG"), "{name}");
        sizes.push(bytes);
    }
    assert_ne!(sizes[0], sizes[1], "light and dark are the same");
    let paper = folder.join("print.pdf");
    run(
        &browser,
        &profile,
        &[&format!("--print-to-pdf={}", paper.display()), &address],
    );
    assert!(
        fs::read(&paper)
            .expect("the print is there")
            .starts_with(b"%PDF")
    );
    let wrapper = folder.join("probe.html");
    fs::write(&wrapper, probe(&html)).expect("is written");
    let address = format!("file://{}", wrapper.display());
    let dom = run(
        &browser,
        &profile,
        &["--virtual-time-budget=5000", "--dump-dom", &address],
    );
    let found = dom
        .split_once("<p id=\"found\">FOUND ")
        .and_then(|(_, rest)| rest.split_once(" END"))
        .map(|(found, _)| found)
        .expect("the page answers");
    assert_eq!(found.split(", ").count(), 3, "{found}");
    for frame in found.split(", ") {
        let numbers: Vec<u32> = frame
            .split(' ')
            .map(|number| number.parse().expect("a number"))
            .collect();
        assert!(numbers[1] <= numbers[0], "wider than its screen: {frame}");
        assert!(numbers[2] >= 11, "texts are too small: {frame}");
        assert_eq!(numbers[3], 0, "texts reach out of their chart: {frame}");
    }
}
