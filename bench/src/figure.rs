//! Samples of one round, figures of all rounds.

use serde::{Deserialize, Serialize};

/// One measured value of one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// What was measured, for example `goodput`.
    pub(crate) metric: String,
    /// Under which circumstances, for example `64 KiB, 1 channel`.
    pub(crate) case: String,
    /// Unit of the value.
    pub(crate) unit: String,
    /// The value.
    pub(crate) value: f64,
    /// What protected the bytes, for example `DTLS 1.3`.
    #[serde(default)]
    pub(crate) security: Option<String>,
}

impl Sample {
    /// A sample.
    pub(crate) fn new(metric: &str, case: &str, unit: &str, value: f64) -> Self {
        Sample {
            metric: metric.into(),
            case: case.into(),
            unit: unit.into(),
            value,
            security: None,
        }
    }
}

/// One value over all rounds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// Who.
    pub(crate) contender: String,
    /// What was measured.
    pub(crate) metric: String,
    /// Under which circumstances.
    pub(crate) case: String,
    /// Unit of the values.
    pub(crate) unit: String,
    /// The middle of all rounds.
    pub(crate) median: f64,
    /// The least of all rounds.
    pub(crate) min: f64,
    /// The most of all rounds.
    pub(crate) max: f64,
    /// How many rounds gave a value.
    pub(crate) rounds: usize,
    /// What protected the bytes, for example `DTLS 1.3`.
    pub(crate) security: Option<String>,
}

impl Figure {
    /// Who, and what protected the bytes.
    pub(crate) fn label(&self) -> String {
        match &self.security {
            Some(security) => format!("{}, {security}", self.contender),
            None => self.contender.clone(),
        }
    }
}

/// The figures of all samples, in the order in which they first appeared.
pub(crate) fn figures(samples: &[(String, Sample)]) -> Vec<Figure> {
    let mut groups: Vec<(&String, &Sample, Vec<f64>)> = Vec::new();
    for (contender, sample) in samples {
        let known = groups.iter_mut().find(|(who, like, _)| {
            *who == contender && like.metric == sample.metric && like.case == sample.case
        });
        match known {
            Some((_, _, values)) => values.push(sample.value),
            None => groups.push((contender, sample, vec![sample.value])),
        }
    }
    let figure = |(contender, like, mut values): (&String, &Sample, Vec<f64>)| {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Figure {
            contender: contender.clone(),
            metric: like.metric.clone(),
            case: like.case.clone(),
            unit: like.unit.clone(),
            median,
            min: values[0],
            max: values[values.len() - 1],
            rounds: values.len(),
            security: like.security.clone(),
        }
    };
    groups.into_iter().map(figure).collect()
}

/// Digits as the size of the value deserves.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// All figures as text: one block a metric and case, one line a contender.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut text = String::new();
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for figure in figures {
        let key = (figure.metric.as_str(), figure.case.as_str());
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        text += &format!("\n{}, {} ({})\n", figure.metric, figure.case, figure.unit);
        let alike = figures
            .iter()
            .filter(|it| (it.metric.as_str(), it.case.as_str()) == key);
        for it in alike {
            text += &format!(
                "  {:<30} {:>9}   {} to {}, {} rounds\n",
                it.label(),
                short(it.median),
                short(it.min),
                short(it.max),
                it.rounds
            );
        }
    }
    text
}
