//! The document around tables and charts.

use crate::{
    Block, Fact, MAX_ITEMS, Mark, Report, Table, chart,
    markup::{escaped, shortened},
};

const STYLE: &str = include_str!("style.css");
/// Characters of a text that are shown; more is somebody's mistake.
const MAX_TEXT: usize = 20_000;

pub(crate) fn html(report: &Report) -> String {
    let mut contents = String::new();
    let mut body = String::new();
    for (at, section) in report.sections.iter().enumerate() {
        let id = anchor(&section.id, at);
        let heading = escaped(&section.heading);
        contents += &format!("<li><a href=\"#{id}\">{heading}</a></li>");
        body += &format!("<section id=\"{id}\"><h2>{heading}</h2>");
        for (number, part) in section.blocks.iter().enumerate() {
            body += &block(part, &format!("c{at}-{number}"));
        }
        body += "</section>";
    }
    let title = escaped(&report.title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#content\">Skip to the content</a>\n\
         <header><h1>{title}</h1><p>{}</p></header>\n<nav aria-label=\"Contents\"><ul>{contents}</ul></nav>\n\
         <main id=\"content\">\n{body}\n</main>\n<footer>{LEGEND}</footer>\n</body>\n</html>\n",
        escaped(&report.subtitle)
    )
}

const LEGEND: &str = "<p>Every figure says where it comes from: <span class=\"badge measured\">measured</span> here and now, \
                      <span class=\"badge modelled\">modelled</span> from named inputs, or <span class=\"badge assumed\">assumed</span> \
                      on somebody's word.</p>";

/// An anchor that is one whatever was asked for, and unique.
fn anchor(id: &str, at: usize) -> String {
    let is_anchor = !id.is_empty()
        && id.len() <= 60
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_anchor {
        id.to_owned()
    } else {
        format!("section-{at}")
    }
}

fn block(block: &Block, id: &str) -> String {
    match block {
        Block::Paragraph(text) => format!("<p>{}</p>", escaped(&shortened(text, MAX_TEXT))),
        Block::Note(mark, text) => {
            format!(
                "<p class=\"note {}\">{}{}</p>",
                mark.class(),
                sign(*mark),
                escaped(&shortened(text, MAX_TEXT))
            )
        }
        Block::Table(content) => table(content),
        Block::Chart(content) => chart::figure(content, id),
        Block::Facts(list) => facts(list),
    }
}

fn facts(facts: &[Fact]) -> String {
    let mut html = String::from("<dl class=\"facts\">");
    for fact in facts.iter().take(MAX_ITEMS) {
        let badge = fact.provenance.as_ref().map_or_else(String::new, |from| {
            let (kind, basis) = (from.kind(), from.basis());
            format!(
                "<dd class=\"from\"><span class=\"badge {kind}\">{kind}</span> {}</dd>",
                escaped(&shortened(basis, 300))
            )
        });
        html += &format!(
            "<div><dt>{}</dt><dd class=\"value\">{}</dd>{badge}</div>",
            escaped(&fact.label),
            escaped(&fact.value)
        );
    }
    html + "</dl>" + &left_out(facts.len())
}

pub(crate) fn table(table: &Table) -> String {
    let mut html =
        String::from("<div class=\"table\" tabindex=\"0\" role=\"group\"><table><thead><tr>");
    for column in &table.columns {
        html += &format!(
            "<th scope=\"col\"{}>{}</th>",
            number_class(column.is_number),
            escaped(&column.heading)
        );
    }
    html += "</tr></thead><tbody>";
    for row in table.rows.iter().take(MAX_ITEMS) {
        html += "<tr>";
        for (at, column) in table.columns.iter().enumerate() {
            let Some(cell) = row.get(at) else {
                html += "<td></td>";
                continue;
            };
            let text = escaped(&shortened(&cell.text, MAX_TEXT));
            html += &match cell.mark {
                Mark::Plain => format!("<td{}>{text}</td>", number_class(column.is_number)),
                mark => format!(
                    "<td{}><span class=\"mark {}\">{}{text}</span></td>",
                    number_class(column.is_number),
                    mark.class(),
                    sign(mark)
                ),
            };
        }
        html += "</tr>";
    }
    html + "</tbody></table></div>" + &left_out(table.rows.len())
}

fn number_class(is_number: bool) -> &'static str {
    if is_number { " class=\"number\"" } else { "" }
}

fn left_out(count: usize) -> String {
    if count > MAX_ITEMS {
        format!(
            "<p class=\"quiet\">{} more are left out.</p>",
            count - MAX_ITEMS
        )
    } else {
        String::new()
    }
}

/// What stands for a meaning beside its colour.
fn sign(mark: Mark) -> &'static str {
    match mark {
        Mark::Good => "✓ ",
        Mark::Bad => "✕ ",
        Mark::Attention => "! ",
        Mark::Plain | Mark::Quiet => "",
    }
}
