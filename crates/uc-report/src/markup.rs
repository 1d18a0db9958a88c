//! Markup that is well-formed whatever the text is.

/// Text as it may stand between tags and in quoted attributes. Characters that XML forbids become a replacement.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(character),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

/// At most so many characters, with an ellipsis where some are missing.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// A coordinate: finite, bounded, with two decimals at most.
pub(crate) fn coordinate(value: f64) -> String {
    let value = if value.is_finite() { value } else { 0.0 };
    let text = format!("{:.2}", value.clamp(-1e5, 1e5));
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".into()
    } else {
        text.to_owned()
    }
}

/// An SVG that grows element by element.
#[derive(Debug, Default)]
pub(crate) struct Svg {
    body: String,
}

/// Where a text is anchored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(crate) fn rectangle(
        &mut self,
        class: &str,
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        title: &str,
    ) {
        self.body += &format!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\"><title>{}</title></rect>",
            coordinate(x),
            coordinate(y),
            coordinate(width.max(0.0)),
            coordinate(height.max(0.0)),
            escaped(title)
        );
    }

    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.body += &format!(
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            coordinate(from.0),
            coordinate(from.1),
            coordinate(to.0),
            coordinate(to.1)
        );
    }

    /// A path through points; each list is a piece of its own.
    pub(crate) fn path(&mut self, class: &str, pieces: &[Vec<(f64, f64)>]) {
        let mut data = String::new();
        for piece in pieces {
            for (at, (x, y)) in piece.iter().enumerate() {
                let command = if at == 0 { 'M' } else { 'L' };
                data += &format!("{command}{} {}", coordinate(*x), coordinate(*y));
            }
        }
        if !data.is_empty() {
            self.body += &format!("<path class=\"{class}\" d=\"{data}\"/>");
        }
    }

    /// A closed shape around a place: 0 a circle, 1 a diamond, 2 a triangle, 3 a square.
    pub(crate) fn shape(
        &mut self,
        class: &str,
        kind: usize,
        at: (f64, f64),
        radius: f64,
        title: &str,
    ) {
        let (x, y, r) = (at.0, at.1, radius);
        let corners: &[(f64, f64)] = match kind % 4 {
            0 => {
                self.body += &format!(
                    "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"><title>{}</title></circle>",
                    coordinate(x),
                    coordinate(y),
                    coordinate(r),
                    escaped(title)
                );
                return;
            }
            1 => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
            2 => &[(0.0, -1.3), (1.2, 0.9), (-1.2, 0.9)],
            _ => &[(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)],
        };
        let points: Vec<String> = corners
            .iter()
            .map(|(dx, dy)| format!("{},{}", coordinate(x + dx * r), coordinate(y + dy * r)))
            .collect();
        self.body += &format!(
            "<polygon class=\"{class}\" points=\"{}\"><title>{}</title></polygon>",
            points.join(" "),
            escaped(title)
        );
    }

    /// A text of at most `limit` characters; the whole of it is its title.
    pub(crate) fn text(
        &mut self,
        class: &str,
        anchor: Anchor,
        at: (f64, f64),
        text: &str,
        limit: usize,
    ) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let short = shortened(text, limit);
        let title = if short == text {
            String::new()
        } else {
            format!("<title>{}</title>", escaped(text))
        };
        self.body += &format!(
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{}\" y=\"{}\">{title}{}</text>",
            coordinate(at.0),
            coordinate(at.1),
            escaped(&short)
        );
    }

    /// The whole as a sample in a key, which says nothing by itself.
    pub(crate) fn decoration(self, width: u32, height: u32) -> String {
        format!(
            "<svg class=\"sample\" aria-hidden=\"true\" viewBox=\"0 0 {width} {height}\">{}</svg>",
            self.body
        )
    }

    /// The whole, of a width and height, named by elements of these ids.
    pub(crate) fn finish(self, id: &str, size: (f64, f64), title: &str, alt: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-labelledby=\"{id}-title {id}-alt\" viewBox=\"0 0 {} {}\">\
             <title id=\"{id}-title\">{}</title><desc id=\"{id}-alt\">{}</desc>{}</svg>",
            coordinate(size.0),
            coordinate(size.1),
            escaped(title),
            escaped(alt),
            self.body
        )
    }
}
