//! Whether two programs that sampled the same model found the same.

use serde_json::Value;
use uc_model::{Problem, Result};

/// How many standard errors results may differ by. Errors come from sixteen batches, so the tails are those of Student's
/// distribution: six are exceeded once in fifty thousand.
const LIMIT: f64 = 6.0;
/// Results of the portfolio and of each technology that are spread.
const SPREADS: [&str; 8] = [
    "value",
    "benefit",
    "cost",
    "risk",
    "roi",
    "benefit_cost",
    "monthly_risk",
    "priority",
];
/// Results that are one estimate.
const ESTIMATES: [&str; 4] = ["loss", "worthwhile", "first", "mean_rank"];
const PERCENTILES: [(&str, f64); 5] = [
    ("p5", 0.05),
    ("p25", 0.25),
    ("p50", 0.5),
    ("p75", 0.75),
    ("p95", 0.95),
];

/// Compares our document with another; how many numbers, and the greatest difference in standard errors.
///
/// # Errors
/// Invalid, where something is missing; Internal, where a number differs by more than chance explains.
pub(super) fn check(ours: &[u8], theirs: &[u8]) -> Result<(usize, f64)> {
    let parse = |document: &[u8]| -> Result<Value> {
        serde_json::from_slice(document)
            .map_err(|error| Problem::invalid("a result cannot be read").caused_by(error))
    };
    let (ours, theirs) = (parse(ours)?, parse(theirs)?);
    let samples = number(&ours, "/summary/samples")?;
    let mut differences = Vec::new();
    let count = ours["summary"]["technologies"]
        .as_array()
        .map_or(0, Vec::len);
    let places = (0..count).map(|technology| format!("/summary/technologies/{technology}"));
    for place in places.chain(["/summary/portfolio".into()]) {
        for result in SPREADS.iter().chain(&ESTIMATES) {
            let path = format!("{place}/{result}");
            if let (Some(one), Some(other)) = (ours.pointer(&path), theirs.pointer(&path)) {
                differences.push(of_means(&path, one, other)?);
                if SPREADS.contains(result) {
                    of_percentiles(&path, one, other, samples, &mut differences)?;
                }
            }
        }
    }
    let mut worst = 0.0;
    for difference in &differences {
        worst = f64::max(worst, difference.errors);
        if difference.errors.is_nan() || difference.errors > LIMIT {
            return Err(
                Problem::internal("two programs disagree about the same model")
                    .at(&difference.place)
                    .limit(format!("{LIMIT} standard errors"))
                    .found(format!("{:.1}", difference.errors)),
            );
        }
    }
    Ok((differences.len(), worst))
}

struct Difference {
    place: String,
    errors: f64,
}

fn of_means(path: &str, ours: &Value, theirs: &Value) -> Result<Difference> {
    let difference = number(ours, "/mean")? - number(theirs, "/mean")?;
    let error = number(ours, "/standard_error")?.hypot(number(theirs, "/standard_error")?);
    Ok(Difference {
        place: format!("{path}/mean"),
        // The least error tells a probability of zero from one that was too rare to be seen.
        errors: difference.abs() / error.max(2e-6),
    })
}

/// A percentile's standard error is that of the share below it, over the density there, which the charts tell.
fn of_percentiles(
    path: &str,
    ours: &Value,
    theirs: &Value,
    samples: f64,
    differences: &mut Vec<Difference>,
) -> Result<()> {
    let (from, to) = (number(ours, "/chart/from")?, number(ours, "/chart/to")?);
    let shares = ours["chart"]["shares"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let width = (to - from) / shares.len() as f64;
    for (name, share) in PERCENTILES {
        let place = format!("/{name}");
        let (one, other) = (number(ours, &place)?, number(theirs, &place)?);
        let bin = ((one - from) / width) as usize;
        let density = shares.get(bin).and_then(Value::as_f64).unwrap_or(f64::NAN) / width;
        // Both programs err; ours by less, since its samples are spread evenly.
        let error = (2.0 * share * (1.0 - share) / samples).sqrt() / density;
        differences.push(Difference {
            place: format!("{path}{place}"),
            errors: (one - other).abs() / error,
        });
    }
    Ok(())
}

fn number(document: &Value, place: &str) -> Result<f64> {
    document
        .pointer(place)
        .and_then(Value::as_f64)
        .ok_or_else(|| Problem::invalid("a result is missing").at(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(mean: f64, p50: f64) -> Vec<u8> {
        let spread = serde_json::json!({
            "mean": mean, "standard_error": 0.01, "p5": 0.05, "p25": 0.25, "p50": p50, "p75": 0.75, "p95": 0.95,
            "chart": {"from": 0.0, "to": 1.0, "shares": vec![0.1; 10]},
        });
        serde_json::json!({"summary": {"samples": 1_000_000, "technologies": [], "portfolio": {"value": spread}}})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn chance_passes_and_more_does_not() {
        let (count, worst) = check(&document(1.0, 0.5), &document(1.02, 0.501)).unwrap();
        assert_eq!(count, 6);
        assert!((1.4..1.5).contains(&worst), "{worst}");
        assert!(check(&document(1.0, 0.5), &document(1.2, 0.5)).is_err());
        assert!(check(&document(1.0, 0.5), &document(1.0, 0.51)).is_err());
        assert!(check(b"{}", b"{}").is_err());
    }
}
