//! From the text of a catalogue file to a catalogue.

use toml::de::DeTable;
use uc_model::{Problem, Result};

use super::{
    Catalogue, Claim, Grade, Milestone, Policy, RedLine, Statement, Technology, Trend,
    ViolationCost,
    fields::{Fields, Node, Source},
    figures::{Quantity, estimate},
    prerequisites,
};

/// The most that is read of a catalogue.
pub const MAX_CATALOGUE_BYTES: usize = 1 << 20;
/// The most technologies in a catalogue.
pub const MAX_TECHNOLOGIES: usize = 1_000;
const MAX_RED_LINES: usize = 64;
const MAX_MILESTONES: usize = 64;
const MAX_POLICIES: usize = 32;
const MAX_CLAIMS: usize = 64;
const MAX_ID_CHARS: usize = 60;
const MAX_HORIZON_MONTHS: f64 = 240.0;
const VERSION: f64 = 1.0;

impl Catalogue {
    /// Reads a catalogue; `file` is what errors call it.
    ///
    /// # Errors
    /// Invalid, with file, line, column and field, for whatever [`super::SCHEMA`] or the meaning of a field forbids.
    pub fn read(file: &str, text: &str) -> Result<Self> {
        let source = Source { name: file, text };
        if text.len() > MAX_CATALOGUE_BYTES {
            return Err(Problem::invalid("the catalogue is too large")
                .at(file)
                .limit(format!("{MAX_CATALOGUE_BYTES} bytes"))
                .found(format!("{} bytes", text.len())));
        }
        let document = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let words: String = error.message().chars().take(500).collect();
            Problem::invalid("the catalogue is no TOML")
                .at(source.place(offset, ""))
                .found(words.replace('\n', "; "))
        })?;
        catalogue(Fields::of_document(source, document.get_ref()))
    }
}

fn catalogue(mut fields: Fields<'_>) -> Result<Catalogue> {
    let version = fields.required("version")?;
    if version.number()? != VERSION {
        return Err(version
            .problem("the version of the catalogue's format is not known")
            .limit(VERSION)
            .found(version.number()?));
    }
    let name = fields.required("name")?.text()?.to_owned();
    let technologies = technologies(&mut fields, &name)?;
    let mut bounded = |key, default, high| -> Result<f64> {
        match fields.optional(key) {
            Some(node) => node.number_within(0.0, high),
            None => Ok(default),
        }
    };
    let person_day_cost = bounded("person_day_cost", 0.0, 1e9)?;
    let discount_rate = bounded("discount_rate", 0.0, 10.0)?;
    let horizon_months = bounded("horizon_months", 36.0, MAX_HORIZON_MONTHS)?;
    let red_line_threshold = bounded("red_line_threshold", 0.0, 1e15)?;
    if horizon_months < 1.0 || horizon_months.fract() != 0.0 {
        return Err(fields
            .problem("the horizon is a whole number of months")
            .limit(format!("1 to {MAX_HORIZON_MONTHS}"))
            .found(horizon_months));
    }
    let catalogue = Catalogue {
        dated: fields.required("dated")?.date()?,
        currency: currency(&fields.required("currency")?)?,
        person_day_cost,
        discount_rate,
        horizon_months: horizon_months as u32,
        red_line_threshold,
        claims: claims(&mut fields, &technologies)?,
        name,
        technologies,
    };
    fields.finish()?;
    Ok(catalogue)
}

fn currency(node: &Node<'_>) -> Result<String> {
    let code = node.text()?;
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        Ok(code.to_owned())
    } else {
        Err(node
            .problem("the currency is not a code")
            .limit("three capitals such as CNY (ISO 4217)")
            .found(code))
    }
}

fn technologies(fields: &mut Fields<'_>, catalogue: &str) -> Result<Vec<Technology>> {
    let list = match fields.optional("technology") {
        Some(node) => node.list(MAX_TECHNOLOGIES)?,
        None => Vec::new(),
    };
    if list.is_empty() {
        return Err(fields
            .problem("the catalogue is empty")
            .limit("at least one [[technology]]"));
    }
    let mut technologies: Vec<Technology> = Vec::with_capacity(list.len());
    let mut links = Vec::with_capacity(list.len());
    for node in &list {
        let mut fields = node.fields()?;
        let technology = technology(&mut fields, catalogue)?;
        if technologies.iter().any(|other| other.id == technology.id) {
            return Err(node
                .problem("two technologies have the same id")
                .found(&technology.id));
        }
        links.push((fields.optional("requires"), fields.optional("excludes")));
        fields.finish()?;
        technologies.push(technology);
    }
    for (at, (requires, excludes)) in links.iter().enumerate() {
        technologies[at].requires = positions(requires.as_ref(), at, &technologies)?;
        technologies[at].excludes = positions(excludes.as_ref(), at, &technologies)?;
    }
    let links = |problem: Problem| match list.first() {
        Some(node) => problem.at(node.problem("").place().unwrap_or_default()),
        None => problem,
    };
    prerequisites::check_cycles(&technologies).map_err(links)?;
    prerequisites::check_exclusions(&technologies).map_err(links)?;
    Ok(technologies)
}

/// Names of technologies, or their numbers in the source, as positions.
fn positions(
    node: Option<&Node<'_>>,
    own: usize,
    technologies: &[Technology],
) -> Result<Vec<usize>> {
    let Some(node) = node else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in node.list(MAX_TECHNOLOGIES)? {
        let at = position(&entry, technologies)?;
        if at == own {
            return Err(entry.problem("a technology cannot name itself here"));
        }
        if !found.contains(&at) {
            found.push(at);
        }
    }
    Ok(found)
}

fn position(node: &Node<'_>, technologies: &[Technology]) -> Result<usize> {
    let id = node.text()?;
    technologies
        .iter()
        .position(|technology| technology.id == id)
        .ok_or_else(|| {
            let nearest = technologies
                .iter()
                .min_by_key(|technology| strsim::damerau_levenshtein(id, &technology.id));
            let problem = node
                .problem("no technology has this id")
                .found(id.chars().take(MAX_ID_CHARS).collect::<String>());
            match nearest {
                Some(technology) => problem.remedy(format!("did you mean {}?", technology.id)),
                None => problem,
            }
        })
}

fn technology(fields: &mut Fields<'_>, catalogue: &str) -> Result<Technology> {
    let node = fields.required("id")?;
    let id = node.text()?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if id.is_empty() || id.len() > MAX_ID_CHARS || !id.bytes().all(is_plain) {
        return Err(node.problem("the id is malformed").limit(format!(
            "1 to {MAX_ID_CHARS} small letters, digits and hyphens"
        )));
    }
    let number = match fields.optional("number") {
        Some(node) => Some(node.number_within(0.0, 1e6)? as u32),
        None => None,
    };
    let mut figure = |key, quantity| estimate(&fields.required(key)?, quantity, catalogue);
    Ok(Technology {
        id: id.to_owned(),
        number,
        maturity: figure("maturity", Quantity::Share)?,
        monthly_cost: figure("monthly_cost", Quantity::MoneyPerMonth)?,
        monthly_benefit: figure("monthly_benefit", Quantity::MoneyPerMonth)?,
        failure_probability: figure("failure_probability", Quantity::Share)?,
        impact: figure("impact", Quantity::Money)?,
        effort: figure("effort", Quantity::Effort)?,
        risk_grade: match fields.optional("risk_grade") {
            Some(node) => Some(grade(&node)?),
            None => None,
        },
        name: fields.required("name")?.text()?.to_owned(),
        standardised: fields.required("standardised")?.date()?,
        milestones: each(fields.optional("milestones"), MAX_MILESTONES, milestone)?,
        red_lines: each(fields.optional("red_line"), MAX_RED_LINES, |fields| {
            red_line(fields, catalogue)
        })?,
        requires: Vec::new(),
        excludes: Vec::new(),
        trend: trend(fields)?,
    })
}

fn grade(node: &Node<'_>) -> Result<Grade> {
    let word = node.text()?;
    let known = Grade::ALL.into_iter().find(|grade| grade.word() == word);
    known.ok_or_else(|| {
        node.problem("the grade is not known")
            .limit(Grade::ALL.map(Grade::word).join(", "))
            .found(word)
    })
}

fn each<T>(
    node: Option<Node<'_>>,
    limit: usize,
    mut read: impl FnMut(&mut Fields<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let Some(node) = node else {
        return Ok(Vec::new());
    };
    let mut entries = Vec::new();
    for entry in node.list(limit)? {
        let mut fields = entry.fields()?;
        entries.push(read(&mut fields)?);
        fields.finish()?;
    }
    Ok(entries)
}

fn milestone(fields: &mut Fields<'_>) -> Result<Milestone> {
    Ok(Milestone {
        date: fields.required("date")?.date()?,
        text: fields.required("text")?.text()?.to_owned(),
    })
}

fn red_line(fields: &mut Fields<'_>, catalogue: &str) -> Result<RedLine> {
    let id = fields.required("id")?.text()?.to_owned();
    let constraint = fields.required("constraint")?.text()?.to_owned();
    let money = fields.optional("violation_cost");
    let days = fields.optional("violation_effort");
    let violation_cost = match (money, days) {
        (Some(node), None) => ViolationCost::Money(estimate(&node, Quantity::Money, catalogue)?),
        (None, Some(node)) => {
            ViolationCost::PersonDays(estimate(&node, Quantity::Effort, catalogue)?)
        }
        _ => {
            return Err(fields
                .problem("a red line has one cost of its violation")
                .limit("violation_cost (money) or violation_effort (person-days)"));
        }
    };
    Ok(RedLine {
        id,
        constraint,
        violation_cost,
    })
}

fn trend(fields: &mut Fields<'_>) -> Result<Trend> {
    let mut trend = Trend {
        cost_decline: 0.0,
        learning: 0.0,
        late_benefit: 1.0,
        standard_failure: 1.0,
        volatility: None,
        policies: Vec::new(),
    };
    let Some(node) = fields.optional("trend") else {
        return Ok(trend);
    };
    let mut fields = node.fields()?;
    for (key, share) in [
        ("cost_decline", &mut trend.cost_decline),
        ("learning", &mut trend.learning),
        ("late_benefit", &mut trend.late_benefit),
        ("standard_failure", &mut trend.standard_failure),
    ] {
        if let Some(node) = fields.optional(key) {
            *share = node.number_within(0.0, 1.0)?;
        }
    }
    if let Some(node) = fields.optional("volatility") {
        trend.volatility = Some(node.number_within(0.0, 5.0)?);
    }
    trend.policies = each(fields.optional("policies"), MAX_POLICIES, policy)?;
    // Says whose the trend is; read so that it is a text.
    if let Some(node) = fields.optional("assumed") {
        node.text()?;
    }
    fields.finish()?;
    Ok(trend)
}

fn policy(fields: &mut Fields<'_>) -> Result<Policy> {
    let mut factor = |key| match fields.optional(key) {
        Some(node) => node.number_within(0.0, 1_000.0),
        None => Ok(1.0),
    };
    let (benefit_factor, cost_factor) = (factor("benefit_factor")?, factor("cost_factor")?);
    Ok(Policy {
        date: fields.required("date")?.date()?,
        text: fields.required("text")?.text()?.to_owned(),
        benefit_factor,
        cost_factor,
    })
}

fn claims(fields: &mut Fields<'_>, technologies: &[Technology]) -> Result<Vec<Claim>> {
    each(fields.optional("claim"), MAX_CLAIMS, |fields| {
        Ok(Claim {
            id: fields.required("id")?.text()?.to_owned(),
            subject: fields.required("subject")?.text()?.to_owned(),
            note: match fields.optional("note") {
                Some(node) => Some(node.text()?.to_owned()),
                None => None,
            },
            statement: statement(fields, technologies)?,
        })
    })
}

const STATEMENTS: &str = "undercurrents, total_monthly_cost, monthly_cost_of, yearly_return, return, grades, priority, nested_distance, quotient";

fn statement(fields: &mut Fields<'_>, technologies: &[Technology]) -> Result<Statement> {
    let kind = fields.required("computes")?;
    let mut number = |key| fields.required(key)?.number();
    Ok(match kind.text()? {
        "undercurrents" => Statement::Undercurrents(number("says")?),
        "total_monthly_cost" => Statement::TotalMonthlyCost(number("says")?),
        "monthly_cost_of" => Statement::MonthlyCostOf(
            named(fields, technologies)?,
            fields.required("says")?.number()?,
        ),
        "yearly_return" => Statement::YearlyReturn {
            benefit: number("benefit")?,
            cost: divisor(&fields.required("cost")?)?,
            said: fields.required("says")?.number()?,
        },
        "return" => {
            let node = fields.required("technology")?;
            Statement::Return(
                position(&node, technologies)?,
                fields.required("says")?.number()?,
            )
        }
        "grades" => Statement::Grades,
        "priority" => Statement::Priority(named(fields, technologies)?),
        "nested_distance" => Statement::NestedDistance {
            smaller: number("smaller")?,
            larger: divisor(&fields.required("larger")?)?,
            said: fields.required("says")?.number()?,
        },
        "quotient" => Statement::Quotient {
            dividend: number("dividend")?,
            divisor: divisor(&fields.required("divisor")?)?,
            said: fields.required("says")?.number()?,
        },
        other => {
            return Err(kind
                .problem("it is not known how to compute this")
                .limit(STATEMENTS)
                .found(other));
        }
    })
}

fn divisor(node: &Node<'_>) -> Result<f64> {
    let divisor = node.number()?;
    if divisor > 0.0 {
        Ok(divisor)
    } else {
        Err(node.problem("the divisor must be positive").found(divisor))
    }
}

fn named(fields: &mut Fields<'_>, technologies: &[Technology]) -> Result<Vec<usize>> {
    let list = fields.required("technologies")?.list(MAX_TECHNOLOGIES)?;
    list.iter()
        .map(|node| position(node, technologies))
        .collect()
}
